"""What a data scientist does who has nothing but MLflow's client, an address and a token.

    MLFLOW_TRACKING_URI=… MLFLOW_TRACKING_TOKEN=… python credit.py train german-credit.csv
    MLFLOW_TRACKING_URI=… MLFLOW_TRACKING_TOKEN=… python credit.py promote german-credit.csv

The first trains a scorecard, saves it as ONNX, registers it, and prints as JSON what it says of every row. Once the
version is approved, the second says that it is the one in production, and scores the same rows with that.
"""

import json
import sys

import mlflow
import numpy as np
import onnxruntime
import pandas
from mlflow.exceptions import MlflowException
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

data = pandas.read_csv(sys.argv[2], keep_default_na=False)
bad = (data.pop("creditability") == "bad").astype("int64")
text = [name for name in data if data[name].dtype.kind not in "if"]
numbers = [name for name in data if name not in text]


def train():
    mlflow.set_experiment("Credit scoring")
    train_rows, test_rows, train_bad, test_bad = train_test_split(data, bad, test_size=0.3, random_state=7)
    columns = ColumnTransformer(
        [("text", OneHotEncoder(handle_unknown="ignore"), text), ("numbers", StandardScaler(), numbers)]
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=1000))
    mlflow.sklearn.autolog(log_models=False)
    with mlflow.start_run(run_name="scorecard"):
        model.fit(train_rows, train_bad)
        mlflow.log_metric("test_auc", roc_auc_score(test_bad, model.predict_proba(test_rows)[:, 1]))
        types = [(name, (StringTensorType if name in text else FloatTensorType)([None, 1])) for name in data]
        onnx = to_onnx(model, initial_types=types, options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
        saved = mlflow.onnx.log_model(onnx, name="scorecard")
    version = mlflow.register_model(saved.model_uri, "Credit").version
    try:
        mlflow.MlflowClient().set_registered_model_alias("Credit", "production", version)
    except MlflowException as error:
        refusal = str(error)
    probabilities = model.predict_proba(data)
    assert np.allclose(scores(f"models:/Credit/{version}"), probabilities, atol=1e-5)
    rows = {name: data[name].tolist() for name in data}
    said = {"version": version, "refusal": refusal, "columns": rows, "probabilities": probabilities.tolist()}
    print(json.dumps(said))


def promote():
    client = mlflow.MlflowClient()
    version = client.get_latest_versions("Credit")[0].version
    client.set_registered_model_alias("Credit", "production", version)
    print(json.dumps({"version": version, "probabilities": scores("models:/Credit@production").tolist()}))


def scores(address):
    """What a registered model says of every row."""
    model = onnxruntime.InferenceSession(mlflow.onnx.load_model(address).SerializeToString())
    kind = {name: "str" if name in text else "float32" for name in data}
    rows = {name: data[[name]].to_numpy(dtype=kind[name]) for name in data}
    return model.run(["probabilities"], rows)[0]


{"train": train, "promote": promote}[sys.argv[1]]()
