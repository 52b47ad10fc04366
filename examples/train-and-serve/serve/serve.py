"""Serve what `train` saved: POST /predict, GET /metrics.json, GET /healthz."""

import json
import os
from pathlib import Path

import joblib
from flask import Flask, request
from sklearn.datasets import load_iris
from waitress import serve

ARTIFACTS = Path(os.environ.get("COACHWORK_ARTIFACTS", "artifacts"))
SPECIES = load_iris().target_names
MEASURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]

model = joblib.load(ARTIFACTS / "model.joblib")
metrics = json.loads((ARTIFACTS / "metrics.json").read_text())
app = Flask(__name__)


@app.get("/healthz")
def healthz():
    return {"status": "ok"}


@app.get("/metrics.json")
def show_metrics():
    return metrics


@app.post("/predict")
def predict():
    body = request.get_json(silent=True)
    try:
        measures = [float(body[name]) for name in MEASURES]
    except (TypeError, KeyError, ValueError):
        return {"error": f"expected a JSON object with the numbers {', '.join(MEASURES)}"}, 400
    probabilities = model.predict_proba([measures])[0]
    best = int(probabilities.argmax())
    return {"species": str(SPECIES[best]), "probability": round(float(probabilities[best]), 4)}


if __name__ == "__main__":
    serve(app, host="0.0.0.0", port=int(os.environ.get("PORT", "5000")))
