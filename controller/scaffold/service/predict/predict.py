"""Answer with the model in model.json: POST /predict. Put your model here."""

import json
import math
import os
from pathlib import Path

from flask import Flask, request
from waitress import serve

PORT = int(os.environ.get("PORT", "5000"))  # that of config.ini, or a free one if that is taken on your machine
HOW = f"curl localhost:{PORT}/predict -d '[5.1, 3.5, 1.4, 0.2]'"

model = json.loads(Path(__file__).with_name("model.json").read_text())  # the mean measures of each species
app = Flask(__name__)


@app.get("/")
def show_how():
    return {"ask": HOW}


@app.post("/predict")
def predict():
    try:
        measures = [float(number) for number in request.get_json(force=True, silent=True)]
        return {"species": min(model, key=lambda species: math.dist(model[species], measures))}
    except (TypeError, ValueError) as error:
        return {"error": f"expected a list of four numbers: {error}"}, 400


print(f"ask for a prediction: {HOW}", flush=True)
serve(app, host="0.0.0.0", port=PORT)  # 0.0.0.0: other machines reach it, too
