"""Trains gradient-boosted trees with scikit-learn, as a training job's program, and leaves an ONNX model.

It reads what a job finds in its environment (see docs/training.md), prints what it measures as JSON lines, and writes
the model with all of its pre-processing to COUNTERSIGN_ARTIFACT.
"""

import json
import os

import pandas
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder


def main():
    params = json.load(open(os.environ["COUNTERSIGN_PARAMS"]))
    data = pandas.read_csv(os.environ["COUNTERSIGN_DATA"], keep_default_na=False)
    answer = data[params["target"]]
    # The second of two answers, in the order of the alphabet, is the one that the probability is of.
    positive = sorted(answer.unique())[1]
    answer = (answer == positive).astype("int64")
    features = data[params["features"]]
    text = [name for name in features if features[name].dtype.kind not in "if"]
    rows, tests, answers, test_answers = train_test_split(
        features, answer, test_size=params["validation_share"], random_state=params["seed"], stratify=answer
    )
    print(f"{len(rows)} rows to learn from, {len(tests)} to measure on, {len(features.columns)} columns", flush=True)

    encoder = ColumnTransformer(
        [("text", OneHotEncoder(handle_unknown="ignore", sparse_output=False), text)], remainder="passthrough"
    )
    model = GradientBoostingClassifier(
        learning_rate=params["learning_rate"], max_depth=params["depth"], random_state=params["seed"], warm_start=True
    )
    learned, measured = encoder.fit_transform(rows), encoder.transform(tests)
    epochs = params["epochs"]
    for epoch in range(1, epochs + 1):
        # One more tree; those that are there stay.
        model.set_params(n_estimators=epoch).fit(learned, answers)
        scores = model.predict_proba(measured)[:, 1]
        tell("loss", log_loss(answers, model.predict_proba(learned)[:, 1]), epoch, epochs)
        tell("validation_loss", log_loss(test_answers, scores), epoch, epochs)
        tell("auc", roc_auc_score(test_answers, scores), epoch, epochs)

    kinds = [(name, StringTensorType([None, 1]) if name in text else FloatTensorType([None, 1])) for name in features]
    pipeline = Pipeline([("columns", encoder), ("model", model)])
    exported = to_onnx(pipeline, initial_types=kinds, options={"zipmap": False}, target_opset={"": 17, "ai.onnx.ml": 3})
    with open(os.environ["COUNTERSIGN_ARTIFACT"], "wb") as file:
        file.write(exported.SerializeToString())
    print(f"validation: first probabilities {scores[:3].round(6).tolist()} of rows {tests.index[:3].tolist()}")


def tell(metric, value, epoch, epochs):
    """Lines are read as they come, so each is flushed."""
    print(json.dumps({"metric": metric, "value": value, "step": epoch, "epoch": epoch, "epochs": epochs}), flush=True)


if __name__ == "__main__":
    main()
