"""A project as somebody wrote it for Bodywork 1.0 in 2021, and would not want to change: quotes, pins, names, habits.

The model goes from stage to stage through a store that the project brings itself, since there were no artifacts. Stages
find each other under http://PROJECT--STAGE:PORT. The pins are those of the end of 2021 that install everywhere.
"""

NAME = "house-prices"  # as the project calls itself
SECRET = "store-credentials"
CREDENTIALS = {"STORE_USER": "ada", "STORE_PASSWORD": "bakery-7-lemon"}

BODYWORK = """\
[default]
PROJECT_NAME="{name}"
DOCKER_IMAGE="bodyworkml/bodywork-core:1.0.1"

[workflow]
DAG="stage_1_model_store >> stage_2_train_model >> stage_3_scoring_service >> stage_4_test_scoring_service"

[logging]
LOG_LEVEL="INFO"
"""

BATCH = """\
[default]
STAGE_TYPE="batch"
EXECUTABLE_SCRIPT="{script}"
CPU_REQUEST=0.1
MEMORY_REQUEST_MB=100

[batch]
MAX_COMPLETION_TIME_SECONDS=60
RETRIES=2
"""

SERVICE = """\
[default]
STAGE_TYPE="service"
EXECUTABLE_SCRIPT="{script}"
CPU_REQUEST=0.1
MEMORY_REQUEST_MB=100

[service]
MAX_STARTUP_TIME_SECONDS=60
REPLICAS=1
PORT=5000
INGRESS=False
"""

SECRETS = f"""
[secrets]
STORE_USER="{SECRET}"
STORE_PASSWORD="{SECRET}"
"""

FLASK = """\
Flask==2.0.2
itsdangerous==2.0.1
Jinja2==3.0.3
Werkzeug==2.0.2
"""

REQUESTS = """\
certifi==2021.10.8
charset-normalizer==2.0.9
idna==3.3
requests==2.26.0
urllib3==1.26.7
"""

STORE = """\
import os

from flask import Flask, abort, request

app = Flask(__name__)
MODELS = {}


@app.before_request
def authenticate():
    given = request.authorization
    if request.path != "/" and (given is None or (given.username, given.password) != (
        os.environ["STORE_USER"], os.environ["STORE_PASSWORD"]
    )):
        abort(401)


@app.route("/")
def index():
    return {"models": sorted(MODELS)}


@app.route("/models/<name>", methods=["GET", "PUT"])
def model(name):
    if request.method == "PUT":
        MODELS[name] = request.get_json()
    return MODELS[name] if name in MODELS else abort(404)


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5000)
"""

TRAIN = """\
import logging
import os
from datetime import date

import requests

STORE = "http://{name}--stage-1-model-store:5000"
AREAS = [50, 70, 90, 110]
PRICES = [100, 140, 180, 220]

logging.basicConfig(level=logging.INFO, format="%(asctime)s - %(levelname)s - %(message)s")
log = logging.getLogger("train")


def main():
    mean_area, mean_price = sum(AREAS) / len(AREAS), sum(PRICES) / len(PRICES)
    slope = sum((a - mean_area) * (p - mean_price) for a, p in zip(AREAS, PRICES))
    slope /= sum((a - mean_area) ** 2 for a in AREAS)
    model = {{"slope": slope, "intercept": mean_price - slope * mean_area, "trained": str(date.today())}}
    answer = requests.put(
        f"{{STORE}}/models/latest", json=model, auth=(os.environ["STORE_USER"], os.environ["STORE_PASSWORD"])
    )
    answer.raise_for_status()
    log.info("uploaded model with slope %.1f", slope)


if __name__ == "__main__":
    main()
"""

SCORE = """\
import os

import requests
from flask import Flask, jsonify, make_response, request

STORE = "http://{name}--stage-1-model-store:5000"

app = Flask(__name__)


@app.route("/price/v1/predict", methods=["POST"])
def predict():
    area = request.json["area"]
    return make_response(jsonify({{"price": model["slope"] * area + model["intercept"]}}))


if __name__ == "__main__":
    credentials = (os.environ["STORE_USER"], os.environ["STORE_PASSWORD"])
    model = requests.get(f"{{STORE}}/models/latest", auth=credentials).json()
    print(f"loaded model of {{model['trained']}}")
    app.run(host="0.0.0.0", port=5000)
"""

CALL = """\
import sys

import requests

URL = "http://{name}--stage-3-scoring-service:5000/price/v1/predict"

answer = requests.post(URL, json={{"area": 100}})
if not answer.ok or round(answer.json()["price"]) != 200:
    print(f"wrong answer: {{answer.status_code}} {{answer.text}}")
    sys.exit(1)
print(f"a house of 100 square metres costs {{answer.json()['price']:.0f}}")
"""
SAYS = "a house of 100 square metres costs 200"  # the last stage, when all is well


def files(name: str = NAME) -> dict[str, str | bytes]:
    """Return the project's files; a test on a shared cluster gives it a name of its own."""
    store, train = "stage_1_model_store", "stage_2_train_model"
    score, call = "stage_3_scoring_service", "stage_4_test_scoring_service"
    return {
        "bodywork.ini": BODYWORK.format(name=name),
        "README.md": "# House prices\n",
        f"{store}/config.ini": SERVICE.format(script="model_store.py") + SECRETS,
        f"{store}/model_store.py": STORE,
        f"{store}/requirements.txt": FLASK,
        f"{train}/config.ini": BATCH.format(script="train_model.py") + SECRETS,
        f"{train}/train_model.py": TRAIN.format(name=name),
        f"{train}/requirements.txt": REQUESTS,
        f"{score}/config.ini": SERVICE.format(script="serve_model.py") + SECRETS,
        f"{score}/serve_model.py": SCORE.format(name=name),
        f"{score}/requirements.txt": FLASK + REQUESTS,
        f"{call}/config.ini": BATCH.format(script="test_service.py"),
        f"{call}/test_service.py": CALL.format(name=name),
        f"{call}/requirements.txt": REQUESTS,
    }
