"""Serve the model that `train` of this run registered in MLflow: POST /predict, GET /model.json, GET /healthz."""

import os
from pathlib import Path

import mlflow
import pandas as pd
from flask import Flask, request
from waitress import serve

# not `models:/wine/latest`: after a roll-back, or on another node, each pod serves what its run has tested
ADDRESS = (Path(os.environ["COACHWORK_ARTIFACTS"]) / "model.txt").read_text()
model = mlflow.sklearn.load_model(ADDRESS)
NAMES = list(model.feature_names_in_)
app = Flask(__name__)


@app.get("/healthz")
def healthz():
    return {"status": "ok"}


@app.get("/model.json")
def show_model():
    return {"address": ADDRESS, "names": NAMES}


@app.post("/predict")
def predict():
    body = request.get_json(silent=True)
    try:
        wine = pd.DataFrame([[float(body[name]) for name in NAMES]], columns=NAMES)
    except (TypeError, KeyError, ValueError):
        return {"error": f"expected a JSON object with the numbers {', '.join(NAMES)}"}, 400
    probabilities = model.predict_proba(wine)[0]
    best = int(probabilities.argmax())
    return {"cultivar": best, "probability": round(float(probabilities[best]), 4), "model": ADDRESS}


if __name__ == "__main__":
    serve(app, host="0.0.0.0", port=int(os.environ["PORT"]))
