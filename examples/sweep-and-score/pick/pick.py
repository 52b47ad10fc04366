"""Pick the model of the index whose error is the smallest."""

import json
import os
import shutil
from pathlib import Path

ARTIFACTS = Path(os.environ["COACHWORK_ARTIFACTS"])
results = [json.loads(path.read_text()) for path in ARTIFACTS.glob("sweep/*/index.json")]
best = min(results, key=lambda result: result["metrics"]["rmse"])
shutil.copy(ARTIFACTS / "sweep" / str(best["index"]) / "model.joblib", ARTIFACTS / "model.joblib")
Path(os.environ["COACHWORK_METRICS"]).write_text(json.dumps(best["metrics"]))
print(f"the best of {len(results)}: index {best['index']}, {best['variables']}")
