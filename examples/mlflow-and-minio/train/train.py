"""Train a classifier of wines; log it in MLflow, register it there, and leave its address for the stage that serves it."""

import json
import os
from pathlib import Path

import mlflow
from mlflow.models import infer_signature
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ARTIFACTS = Path(os.environ["COACHWORK_ARTIFACTS"])
METRICS = Path(os.environ["COACHWORK_METRICS"])
STRENGTH = float(os.environ.get("STRENGTH", "1.0"))  # coachwork trigger NAME --set STRENGTH=0.01


def main():
    data, target = load_wine(return_X_y=True, as_frame=True)
    train_data, test_data, train_target, test_target = train_test_split(
        data, target, test_size=0.3, random_state=1, stratify=target
    )
    mlflow.set_experiment(os.environ["COACHWORK_PROJECT"])
    with mlflow.start_run(run_name=f"{os.environ['COACHWORK_REQUEST']}-{os.environ['COACHWORK_RUN']}"):
        mlflow.set_tag("commit", os.environ["COACHWORK_COMMIT"])
        mlflow.log_param("strength", STRENGTH)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH)).fit(train_data, train_target)
        accuracy = model.score(test_data, test_target)
        mlflow.log_metric("accuracy", accuracy)
        METRICS.write_text(json.dumps({"accuracy": accuracy}))  # config.ini says what it has to be: REQUIRE
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(test_data, model.predict_proba(test_data)),
            registered_model_name="wine",
            pip_requirements=str(Path(__file__).parents[1] / "requirements.txt"),
        )
    address = f"models:/wine/{logged.registered_model_version}"
    print(f"{address}: accuracy {accuracy:.3f} on {len(test_target)} wines that the model had not seen")
    (ARTIFACTS / "model.txt").write_text(address)


if __name__ == "__main__":
    main()
