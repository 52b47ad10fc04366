"""Fit a line through the prepared points, and say how good it is."""

import csv
import json
import os
from pathlib import Path
from statistics import correlation, linear_regression

artifacts = Path(os.environ["COACHWORK_ARTIFACTS"])
with (artifacts / "minutes.csv").open(newline="") as file:
    rows = [(float(row["minutes"]), float(row["score"])) for row in csv.DictReader(file)]
minutes, scores = zip(*rows, strict=True)
line = linear_regression(minutes, scores)
(artifacts / "model.json").write_text(json.dumps({"slope": line.slope, "intercept": line.intercept}))
with open(os.environ["COACHWORK_METRICS"], "w") as file:
    json.dump({"r2": correlation(minutes, scores) ** 2}, file)
print(f"score = {line.slope:.3f} * minutes + {line.intercept:.1f}")
