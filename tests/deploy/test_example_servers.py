"""What examples/mlflow-and-minio puts beside its stages: pods that are admitted where stages are, and that fit them."""

import re
from pathlib import Path
from typing import Any

import yaml

from controller.core.model import Pipeline
from tests.support.projects import outcome, tree
from tests.support.restricted import violations

EXAMPLE = Path(__file__).parents[2] / "examples" / "mlflow-and-minio"


def servers() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects of the servers, by kind and name."""
    items = [item for path in (EXAMPLE / "cluster").iterdir() for item in yaml.safe_load_all(path.read_text("utf-8"))]
    return {(item["kind"], item["metadata"]["name"]): item for item in items}


def project() -> Pipeline:
    texts = {str(path.relative_to(EXAMPLE)): path.read_bytes() for path in EXAMPLE.rglob("*") if path.is_file()}
    pipeline = outcome(tree(texts))
    assert isinstance(pipeline, Pipeline)
    return pipeline


def test_the_pods_of_the_servers_are_admitted_where_stages_are() -> None:
    templates = {name: item["spec"]["template"] for (kind, name), item in servers().items() if kind == "Deployment"}
    assert {name: violations(template) for name, template in templates.items()} == {"minio": [], "mlflow": []}


def test_the_servers_take_the_secret_of_the_stages_and_answer_at_the_addresses_that_they_are_given() -> None:
    given = yaml.safe_load((EXAMPLE / "request.yaml").read_text("utf-8"))["data"]
    ports = {name: item["spec"]["ports"][0]["port"] for (kind, name), item in servers().items() if kind == "Service"}
    assert given["env.MLFLOW_TRACKING_URI"] == f"http://mlflow:{ports['mlflow']}"
    assert given["env.MLFLOW_S3_ENDPOINT_URL"] == f"http://minio:{ports['minio']}"
    asked = {(it.variable, it.secret) for stage in project().stages.values() for it in stage.secrets}
    text = (EXAMPLE / "cluster" / "mlflow.yaml").read_text("utf-8")
    named = re.findall(r"- name: (\w+)\n +valueFrom:\n +secretKeyRef: {name: (\w+), key: (\w+)}", text)
    assert {(name, secret) for name, secret, key in named if name == key} == asked
    assert f"--allowed-hosts=mlflow:{ports['mlflow']}," in text


def test_stages_have_the_mlflow_of_its_server() -> None:
    image = servers()["Deployment", "mlflow"]["spec"]["template"]["spec"]["containers"][0]["image"]
    version = re.fullmatch(r"ghcr\.io/mlflow/mlflow:v([\d.]+)-full", image)
    assert version
    assert f"mlflow-skinny=={version[1]}\n" in (EXAMPLE / "requirements.txt").read_text("utf-8")
    assert f"mlflow=={version[1]} " in (EXAMPLE / "README.md").read_text("utf-8")
