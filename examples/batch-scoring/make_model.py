"""Make score/model.json: a logistic regression that was trained on every other wine. Not a stage; run it by hand."""

import json
from pathlib import Path

from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

wines = load_wine()
scaler = StandardScaler().fit(wines.data[::2])
model = LogisticRegression(max_iter=1000).fit(scaler.transform(wines.data[::2]), wines.target[::2])
numbers = {
    "mean": scaler.mean_,
    "scale": scaler.scale_,
    "coefficients": model.coef_,
    "intercepts": model.intercept_,
}
content = json.dumps({key: value.round(6).tolist() for key, value in numbers.items()}, indent=1)
Path(__file__).parent.joinpath("score", "model.json").write_text(content + "\n")
