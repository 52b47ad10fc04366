"""The published JSON Schema of bodywork.yaml."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from controller.core.inputs.project import schema_text
from tests.support.projects import problems_of, tree

PUBLISHED = Path(__file__).parents[5] / "docs" / "bodywork.schema.json"
REMAKE = "remake it: python -c 'from controller.core.project import schema_text as s; print(s(), end=\"\")' > "


def document(**stage: Any) -> dict[str, Any]:
    return {
        "version": "1.0",
        "project": {"name": "iris", "DAG": "train"},
        "stages": {"train": {"executable_module_path": "main.py", **stage}},
    }


def test_the_published_schema_is_the_codes_own() -> None:
    assert PUBLISHED.read_text() == schema_text(), REMAKE + str(PUBLISHED)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))


@pytest.mark.parametrize(
    "sample",
    [
        document(batch={}),
        document(batch=None),
        document(service={"port": 1}, env={"A": "b"}, secrets={"A": "b"}, cpu_request=0.5, gpu=1),
        document(batch={}, secrets={"A": "b?", "B": {"name": "b", "optional": True}}),
        document(batch={}, secrets={"A": {"optional": True}}),
        document(batch={}, secrets={"A": {"name": "b", "key": "c"}}),
        document(batch={"require": "accuracy >= 0.9"}),
        document(batch={"require": ["accuracy >= 0.9", "rmse < previous"]}),
        document(batch={"require": {"accuracy": 0.9}}),
        document(batch={"require": 0.9}),
        document(batch={"retries": -1}),
        document(batch={"retries": "1"}),
        document(service={}),
        document(batch={}, service={"port": 1}),
        document(),
        document(batch={}, args=[1]),
        document(service={"port": 1, "readiness_path": "x"}),
        {**document(batch={}), "version": "1.1"},
        {**document(batch={}), "version": "3"},
    ],
)
def test_schema_and_parser_agree(sample: dict[str, Any]) -> None:
    by_schema = jsonschema.Draft202012Validator(json.loads(schema_text())).is_valid(sample)
    by_parser = not problems_of(tree({"bodywork.yaml": json.dumps(sample)}, "main.py"))
    assert by_schema == by_parser
