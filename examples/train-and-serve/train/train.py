"""Train a classifier of irises; save it and what it is worth for the stage that serves it."""

import json
import os
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ARTIFACTS = Path(os.environ.get("COACHWORK_ARTIFACTS", "artifacts"))
METRICS = Path(os.environ.get("COACHWORK_METRICS", ARTIFACTS / "numbers.json"))


def main():
    data, target = load_iris(return_X_y=True)
    train_data, test_data, train_target, test_target = train_test_split(
        data, target, test_size=0.3, random_state=1, stratify=target
    )
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train_data, train_target)
    accuracy = model.score(test_data, test_target)
    print(f"accuracy {accuracy:.3f} on {len(test_target)} irises that the model had not seen")
    ARTIFACTS.mkdir(exist_ok=True)
    METRICS.write_text(json.dumps({"accuracy": accuracy}))  # config.ini says what it has to be: REQUIRE
    joblib.dump(model, ARTIFACTS / "model.joblib")
    metrics = {"accuracy": accuracy, "commit": os.environ.get("COACHWORK_COMMIT", "")}
    (ARTIFACTS / "metrics.json").write_text(json.dumps(metrics))


if __name__ == "__main__":
    main()
