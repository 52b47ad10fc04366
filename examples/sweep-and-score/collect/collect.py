"""Put the parts together, in the order of the rows."""

import csv
import os
from pathlib import Path

ARTIFACTS = Path(os.environ["COACHWORK_ARTIFACTS"])
parts = [path.parent / "scores.csv" for path in ARTIFACTS.glob("score/*/index.json")]
rows = sorted((row for part in parts for row in csv.reader(part.open())), key=lambda row: int(row[0]))
with (ARTIFACTS / "scores.csv").open("w", newline="") as file:
    csv.writer(file).writerows([["row", "score"], *rows])
print(f"{len(rows)} rows of {len(parts)} parts")
