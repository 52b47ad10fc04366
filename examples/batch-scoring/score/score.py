"""Score the wines of scikit-learn's data set with the model in model.json, and save the scores as a table."""

import csv
import json
import os
from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine

HERE = Path(__file__).parent
ARTIFACTS = Path(os.environ.get("COACHWORK_ARTIFACTS", HERE))


def load_model():
    model = json.loads((HERE / "model.json").read_text())
    return {key: np.array(value) for key, value in model.items()}


def probabilities(model, data):
    """Return one row for each wine, one column for each cultivar."""
    scaled = (data - model["mean"]) / model["scale"]
    logits = scaled @ model["coefficients"].T + model["intercepts"]
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def main():
    wines = load_wine()
    scores = probabilities(load_model(), wines.data)
    best = scores.argmax(axis=1)
    target = ARTIFACTS / "scores.csv"
    with target.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["wine", "cultivar", "probability"])
        for wine, cultivar in enumerate(best):
            table.writerow([wine, wines.target_names[cultivar], round(scores[wine, cultivar], 4)])
    print(f"scored {len(best)} wines, {(best == wines.target).mean():.1%} as their label says, into {target}")


if __name__ == "__main__":
    main()
