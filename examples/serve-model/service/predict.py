"""Serve the model in model.json: POST /predict with the four measures of an iris, GET /healthz."""

import json
import math
import os
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field

MODEL = json.loads(Path(__file__).with_name("model.json").read_text())
app = FastAPI(title="serve-model")


class Iris(BaseModel):
    """Measures in centimetres."""

    sepal_length: float = Field(gt=0, lt=50)
    sepal_width: float = Field(gt=0, lt=50)
    petal_length: float = Field(gt=0, lt=50)
    petal_width: float = Field(gt=0, lt=50)


@app.get("/healthz")
def healthz():
    return {"status": "ok"}


@app.post("/predict")
def predict(iris: Iris):
    measures = [iris.sepal_length, iris.sepal_width, iris.petal_length, iris.petal_width]
    logits = [
        intercept + sum(c * m for c, m in zip(coefficients, measures))
        for coefficients, intercept in zip(MODEL["coefficients"], MODEL["intercepts"])
    ]
    weights = [math.exp(logit - max(logits)) for logit in logits]
    best = max(range(len(weights)), key=weights.__getitem__)
    return {"species": MODEL["species"][best], "probability": round(weights[best] / sum(weights), 4)}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8000")))
