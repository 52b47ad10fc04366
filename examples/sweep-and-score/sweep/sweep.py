"""Train a model with the parameters of this index, and say how far off it is on rows that it has not seen."""

import json
import os
from pathlib import Path

import joblib
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split

rate, depth = float(os.environ["LEARNING_RATE"]), int(os.environ["DEPTH"])
data, targets = load_diabetes(return_X_y=True)
train_data, test_data, train_targets, test_targets = train_test_split(data, targets, test_size=0.3, random_state=42)
model = GradientBoostingRegressor(learning_rate=rate, max_depth=depth, random_state=42).fit(train_data, train_targets)
rmse = root_mean_squared_error(test_targets, model.predict(test_data))
joblib.dump(model, Path(os.environ["COACHWORK_INDEX_ARTIFACTS"], "model.joblib"))
Path(os.environ["COACHWORK_METRICS"]).write_text(json.dumps({"rmse": rmse}))
print(f"learning rate {rate}, depth {depth}: rmse {rmse:.2f}")
