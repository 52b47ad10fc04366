"""Make service/model.json with scikit-learn. Not a stage; run it by hand."""

import json
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

irises = load_iris()
model = LogisticRegression(max_iter=1000).fit(irises.data, irises.target)
content = {
    "species": irises.target_names.tolist(),
    "coefficients": model.coef_.round(6).tolist(),
    "intercepts": model.intercept_.round(6).tolist(),
}
Path(__file__).parent.joinpath("service", "model.json").write_text(json.dumps(content, indent=1) + "\n")
