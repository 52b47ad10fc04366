"""Prepare the data: all times in minutes. In earnest this takes hours."""

import csv
import os
from pathlib import Path

with open("raw.csv", newline="") as file:
    rows = [(float(row["hours"]) * 60, float(row["score"])) for row in csv.DictReader(file)]
target = Path(os.environ["COACHWORK_ARTIFACTS"], "minutes.csv")
with target.open("w", newline="") as file:
    csv.writer(file).writerows([("minutes", "score"), *rows])
print(f"prepared {len(rows)} rows")
