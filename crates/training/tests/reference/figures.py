"""The figures of scikit-learn on the split that the tests use.

    python3 -m venv venv && venv/bin/pip install scikit-learn pandas
    venv/bin/python figures.py german-credit.csv

Run it to change them; they are constants in ../it/figures.rs. `make bench` runs it to compare the times. The rows of validation.txt, from 0, are measured on and
not learned from; `the_split_is_that_of_the_reference` fails when the file is not the split any more.
"""

import sys
import time
from pathlib import Path

import pandas
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def main():
    data = pandas.read_csv(sys.argv[1], keep_default_na=False)
    answer = (data.pop("creditability") == "good").astype("int64")
    rows = [int(row) for row in (Path(__file__).parent / "validation.txt").read_text().split()]
    validation = data.index.isin(rows)
    text = [name for name in data if data[name].dtype.kind not in "if"]
    for name, numbers, model in [
        ("logistic regression", StandardScaler(), LogisticRegression(C=1.0, max_iter=1000)),
        ("gradient boosting", "passthrough", GradientBoostingClassifier(n_estimators=100, max_depth=3, learning_rate=0.1, random_state=7)),
        ("gradient boosting by histograms", "passthrough", HistGradientBoostingClassifier(
            max_iter=100, max_depth=3, learning_rate=0.1, l2_regularization=1.0, min_samples_leaf=5, early_stopping=False)),
    ]:
        columns = ColumnTransformer(
            [("text", OneHotEncoder(handle_unknown="ignore", sparse_output=False), text)], remainder=numbers
        )
        pipeline = make_pipeline(columns, model)
        # The best of three: the first one also loads what it needs.
        seconds = min(seconds_of(pipeline, data[~validation], answer[~validation]) for _ in range(3))
        scores = pipeline.predict_proba(data[validation])[:, 1]
        auc = roc_auc_score(answer[validation], scores)
        print(f"{name}: AUC {auc:.4f}, loss {log_loss(answer[validation], scores):.4f}, {seconds * 1000:.0f} ms")


def seconds_of(pipeline, rows, answers):
    began = time.perf_counter()
    pipeline.fit(rows, answers)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
