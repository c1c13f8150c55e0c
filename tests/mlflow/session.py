"""Uses MLflow's official client, unchanged, for all that it can do with this product.

    MLFLOW_TRACKING_URI=… MLFLOW_TRACKING_TOKEN=… python session.py

Whoever's token it is may add models. Prints each call that reached the server, as `METHOD /path`, a line each.
"""

import tempfile
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import requests
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from skl2onnx import to_onnx
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

CALLS = set()
FEATURES, ANSWERS = make_classification(n_samples=200, n_features=4, random_state=1)
FEATURES = FEATURES.astype(np.float32)


def main():
    note_calls()
    client = MlflowClient()
    experiment = experiments(client)
    run = runs(client, experiment)
    artifacts(client, run)
    logged_models(client, experiment)
    model = autologged(client)
    first, second = saved(client, experiment, model)
    registry(client, first)
    versions(client, first, second)
    aliases(client, model)
    older_clients(run, first)
    refused(client)
    print("\n".join(sorted(CALLS)))


def note_calls():
    """Notes what the client sends, and changes nothing."""
    send = requests.Session.request

    def noting(session, method, url, **more):
        CALLS.add(f"{method.upper()} /{url.split('?')[0].split('/', 3)[3]}")
        return send(session, method, url, **more)

    requests.Session.request = noting


def raw(method, path, **more):
    """A call that the client no longer makes, or only to look round."""
    return http_request(get_default_host_creds(mlflow.get_tracking_uri()), path, method, **more)


def refuses(code, call, *words):
    try:
        call()
    except MlflowException as error:
        assert error.error_code == code, f"{error.error_code}, not {code}: {error}"
        assert all(word in str(error) for word in words), str(error)
    else:
        raise AssertionError(f"not refused with {code}")


def same(left, right):
    np.testing.assert_allclose(left, right, atol=1e-5)


def experiments(client):
    made = client.create_experiment("Scripted", tags={"team": "credit", "old": "yes"})
    assert client.get_experiment(made).name == "Scripted"
    client.rename_experiment(made, "Scripted session")
    client.set_experiment_tag(made, "team", "retail")
    client.delete_experiment_tag(made, "old")
    found = client.search_experiments(filter_string="name LIKE 'Scripted%' AND tags.team = 'retail'")
    assert [(one.experiment_id, one.tags["team"]) for one in found] == [(made, "retail")]
    client.delete_experiment(made)
    assert client.get_experiment_by_name("Scripted session").lifecycle_stage == "deleted"
    client.restore_experiment(made)
    refuses("RESOURCE_ALREADY_EXISTS", lambda: client.create_experiment("Scripted session"))
    refuses("INVALID_PARAMETER_VALUE", lambda: client.create_experiment("Elsewhere", artifact_location="s3://elsewhere"))
    mlflow.set_experiment("Scripted session")
    return made


def runs(client, experiment):
    run = client.create_run(experiment, run_name="by hand", tags={"kind": "hand"}).info.run_id
    for step, loss in enumerate([0.9, 0.5, float("nan"), 0.25]):
        client.log_metric(run, "loss", loss, step=step)
    client.log_param(run, "depth", 3)
    client.set_tag(run, "stage", "draft")
    client.set_tag(run, "spare", "x")
    client.delete_tag(run, "spare")
    batch = [Metric("accuracy", step / 1000, 1_000 + step, step) for step in range(1000)]
    client.log_batch(run, metrics=batch)
    client.log_batch(run, params=[Param("rate", "0.1")], tags=[RunTag("owner", "me")])
    client.log_inputs(run, [credit_data()])
    kept = client.get_run(run)
    assert kept.data.params == {"depth": "3", "rate": "0.1"}
    assert kept.data.metrics == {"loss": 0.25, "accuracy": 0.999}
    assert kept.data.tags["owner"] == "me" and "spare" not in kept.data.tags
    assert kept.inputs.dataset_inputs[0].dataset.name == "credit"
    history = client.get_metric_history(run, "loss")
    assert [point.step for point in history] == [0, 1, 2, 3] and np.isnan(history[2].value)
    assert len(client.get_metric_history(run, "accuracy")) == 1000
    refuses("INVALID_PARAMETER_VALUE", lambda: client.log_batch(run, params=[Param("depth", "4")]), "depth")
    client.update_run(run, name="renamed")
    client.set_terminated(run)
    assert (client.get_run(run).info.status, client.get_run(run).info.run_name) == ("FINISHED", "renamed")
    searches(client, experiment, run)
    client.delete_run(run)
    assert client.search_runs([experiment], "tags.kind = 'hand'") == []
    client.restore_run(run)
    return run


def credit_data():
    dataset = Dataset("credit", "d1", "local", "{}", schema=None, profile=None)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def searches(client, experiment, run):
    other = client.create_run(experiment, run_name="other").info.run_id
    client.log_metric(other, "loss", 2)

    def found(text, order=None):
        return [one.info.run_id for one in client.search_runs([experiment], text, order_by=order)]

    assert found("metrics.loss < 1 AND params.depth = '3'") == [run]
    assert found("metrics.loss > 0", ["metrics.loss DESC"]) == [other, run]
    assert found("tags.owner ILIKE 'M%' AND attributes.status = 'FINISHED'") == [run]
    assert found("attributes.run_name = 'other'") == [other]
    assert found("dataset.name = 'credit'") == [run]
    assert found(f"attributes.run_id IN ('{run}', 'none')") == [run]
    first = client.search_runs([experiment], max_results=1, order_by=["metrics.loss ASC"])
    rest = client.search_runs([experiment], max_results=1, order_by=["metrics.loss ASC"], page_token=first.token)
    assert [first[0].info.run_id, rest[0].info.run_id] == [run, other] and not rest.token
    refuses("INVALID_PARAMETER_VALUE", lambda: found("metrics.loss < 'x'"))


def artifacts(client, run):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "deep").mkdir()
        Path(folder, "deep", "data.bin").write_bytes(bytes(range(256)) * 40)
        client.log_artifacts(run, folder, "files")
    client.log_text(run, "a note", "note.txt")
    client.log_dict(run, {"a": 1}, "files/a.json")
    assert [(one.path, one.is_dir) for one in client.list_artifacts(run)] == [("files", True), ("note.txt", False)]
    assert [one.path for one in client.list_artifacts(run, "files")] == ["files/a.json", "files/deep"]
    with tempfile.TemporaryDirectory() as folder:
        came = client.download_artifacts(run, "files", folder)
        assert Path(came, "deep", "data.bin").read_bytes() == bytes(range(256)) * 40
    place = get_artifact_repository(client.get_run(run).info.artifact_uri)
    place.delete_artifacts("note.txt")
    assert [one.path for one in client.list_artifacts(run)] == ["files"]


def logged_models(client, experiment):
    made = client.create_logged_model(experiment, name="a model", params={"depth": "3"}, tags={"kind": "tree"})
    client.log_model_params(made.model_id, {"rate": "0.1"})
    client.set_logged_model_tags(made.model_id, {"checked": "yes", "spare": "x"})
    client.delete_logged_model_tag(made.model_id, "spare")
    client.finalize_logged_model(made.model_id, "READY")
    kept = client.get_logged_model(made.model_id)
    assert (kept.status, kept.params, kept.tags["checked"]) == ("READY", {"depth": "3", "rate": "0.1"}, "yes")
    found = client.search_logged_models([experiment], "params.depth = '3' AND tags.checked = 'yes'")
    assert [one.model_id for one in found] == [made.model_id]
    run = client.create_run(experiment).info.run_id
    client.log_outputs(run, [LoggedModelOutput(made.model_id, 7)])
    assert [(one.model_id, one.step) for one in client.get_run(run).outputs.model_outputs] == [(made.model_id, 7)]
    client.set_terminated(run, "KILLED")
    spare = client.create_logged_model(experiment)
    client.delete_logged_model(spare.model_id)
    refuses("RESOURCE_DOES_NOT_EXIST", lambda: client.get_logged_model(spare.model_id))


def autologged(client):
    """A training that tells of itself."""
    mlflow.sklearn.autolog()
    with mlflow.start_run(run_name="autologged") as run:
        model = LogisticRegression(C=0.5).fit(FEATURES, ANSWERS)
    mlflow.sklearn.autolog(disable=True)
    kept = client.get_run(run.info.run_id)
    assert kept.data.params["C"] == "0.5" and kept.data.metrics["training_accuracy_score"] > 0.8
    logged = kept.outputs.model_outputs[0].model_id
    same(mlflow.sklearn.load_model(f"models:/{logged}").predict_proba(FEATURES), model.predict_proba(FEATURES))
    assert "MLmodel" in [one.path for one in client.list_logged_model_artifacts(logged)]
    return model


def saved(client, experiment, model):
    """The model as scikit-learn's and as ONNX, each registered as it is saved."""
    with mlflow.start_run() as run:
        first = mlflow.sklearn.log_model(
            model, name="model", input_example=FEATURES[:2], registered_model_name="Scorecard"
        )
        onnx = to_onnx(model, FEATURES[:1], options={"zipmap": False})
        second = mlflow.onnx.log_model(onnx, name="onnx", registered_model_name="Scorecard")
        mlflow.log_metric("checked", 0.5, model_id=second.model_id)
    found = client.search_logged_models([experiment], "metrics.checked < 1")
    assert [one.model_id for one in found] == [second.model_id]
    assert client.get_run(run.info.run_id).info.status == "FINISHED"
    return first, second


def registry(client, first):
    client.create_registered_model("Spare", tags={"use": "none", "old": "x"}, description="To be renamed")
    client.update_registered_model("Spare", "To be deleted")
    client.set_registered_model_tag("Spare", "use", "some")
    client.delete_registered_model_tag("Spare", "old")
    assert client.get_registered_model("Spare").tags["use"] == "some"
    client.rename_registered_model("Spare", "Spare part")
    names = [one.name for one in client.search_registered_models("name LIKE 'S%'", order_by=["name DESC"])]
    assert names == ["Spare part", "Scorecard"], names
    assert [one.name for one in client.search_registered_models("tags.use = 'some'")] == ["Spare part"]
    client.delete_registered_model("Spare part")
    refuses("RESOURCE_DOES_NOT_EXIST", lambda: client.get_registered_model("Spare part"))
    refuses("RESOURCE_ALREADY_EXISTS", lambda: client.create_registered_model("Scorecard"))
    refuses("INVALID_STATE", lambda: client.delete_registered_model("Scorecard"))


def versions(client, first, second):
    third = mlflow.register_model(second.model_uri, "Scorecard", tags={"kind": "copy", "spare": "x"})
    assert third.version == "3"
    client.update_model_version("Scorecard", "3", "To be deleted")
    client.set_model_version_tag("Scorecard", "3", "kind", "draft")
    client.delete_model_version_tag("Scorecard", "3", "spare")
    kept = client.get_model_version("Scorecard", "3")
    assert (kept.tags, kept.description) == ({"kind": "draft"}, "To be deleted")
    found = client.search_model_versions("name = 'Scorecard' AND tags.kind = 'draft'")
    assert [one.version for one in found] == ["3"]
    found = client.search_model_versions(f"run_id = '{kept.run_id}'", order_by=["version_number ASC"])
    assert [one.version for one in found] == ["1", "2", "3"]
    assert client.get_latest_versions("Scorecard")[0].version == "3"
    assert client.get_model_version_download_uri("Scorecard", "2").startswith("mlflow-artifacts:/")
    refuses(
        "NOT_IMPLEMENTED",
        lambda: client.transition_model_version_stage("Scorecard", "3", "Production"),
        "Stages are not kept",
    )
    client.delete_model_version("Scorecard", "3")
    assert len(client.search_model_versions("name = 'Scorecard'")) == 2
    # Once something is a version, its files stay as they are.
    files = get_artifact_repository(f"models:/{first.model_id}")
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder, "MLmodel")
        changed.write_text("changed")
        refused_upload(lambda: files.log_artifact(str(changed)))


def refused_upload(call):
    """Uploads tell of a refusal by its HTTP status."""
    try:
        call()
    except (MlflowException, requests.HTTPError) as error:
        assert "sealed" in str(error) or "400" in str(error), str(error)
    else:
        raise AssertionError("the files of a version were changed")


def aliases(client, model):
    client.set_registered_model_alias("Scorecard", "candidate", 1)
    client.set_registered_model_alias("Scorecard", "next", "2")
    assert client.get_model_version_by_alias("Scorecard", "next").version == "2"
    expected = model.predict(FEATURES)
    for address in ["models:/Scorecard@candidate", "models:/Scorecard/1"]:
        same(mlflow.pyfunc.load_model(address).predict(FEATURES), expected)
    same(mlflow.sklearn.load_model("models:/Scorecard/1").predict_proba(FEATURES), model.predict_proba(FEATURES))
    loaded = mlflow.onnx.load_model("models:/Scorecard@next")
    scores = onnxruntime.InferenceSession(loaded.SerializeToString()).run(["probabilities"], {"X": FEATURES})[0]
    same(scores, model.predict_proba(FEATURES))
    client.delete_registered_model_alias("Scorecard", "candidate")
    refuses("RESOURCE_DOES_NOT_EXIST", lambda: client.get_model_version_by_alias("Scorecard", "candidate"))
    for alias in ["production", "champion"]:
        refuses(
            "PERMISSION_DENIED",
            lambda: client.set_registered_model_alias("Scorecard", alias, "2"),
            "not approved",
        )


def older_clients(run, first):
    """What clients before this one ask, and what the client asks only to look round."""
    api = "/api/2.0/mlflow"
    for path in ["experiments/list", "experiments/search", "registered-models/list", "server-info"]:
        assert raw("GET", f"{api}/{path}", params={"max_results": 10}).status_code == 200, path
    assert raw("GET", "/api/3.0/mlflow/server-info").status_code == 200
    assert raw("GET", "/version").status_code == 200
    listed = raw("GET", f"{api}/artifacts/list", params={"run_id": run}).json()
    assert listed["files"][0]["path"] == "files"
    latest = raw("GET", f"{api}/registered-models/get-latest-versions", params={"name": "Scorecard"}).json()
    assert latest["model_versions"][0]["version"] == "2"
    files = raw("GET", f"{api}/logged-models/{first.model_id}/artifacts/directories").json()["files"]
    assert "MLmodel" in [one["path"] for one in files]
    body = {"run_id": run, "model_json": '{"artifact_path": "model"}'}
    assert raw("POST", f"{api}/runs/log-model", json=body).status_code == 200


def refused(client):
    """What is not here says so in MLflow's own shape, and the client understands."""
    refuses("ENDPOINT_NOT_FOUND", lambda: client.search_traces(locations=["0"]))
    refuses("RESOURCE_DOES_NOT_EXIST", lambda: client.get_run("0" * 32), "0" * 32)
    refuses("RESOURCE_DOES_NOT_EXIST", lambda: client.get_model_version("Scorecard", "99"))
    for path in ["mpu/create/0/x", "presigned/0/x"]:
        answer = raw("POST", f"/api/2.0/mlflow-artifacts/{path}", json={})
        assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED"), answer.text


main()
