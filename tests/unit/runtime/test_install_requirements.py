"""What the builder reads: requirements.json of this version, and of controllers up to 0.1.0."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from controller.core.documents import requirements as documents
from controller.core.inputs import requirements
from controller.core.model import Batch, Stage
from tests.support.launching import RUNTIME
from tests.support.recorded import recorded
from tests.support.recorded_scenarios import REQUIREMENTS

FILE = "train/requirements.txt"


@pytest.fixture
def builder() -> Any:
    """Return the builder's module, which finds the others in its own folder."""
    if str(RUNTIME) not in sys.path:
        sys.path.append(str(RUNTIME))
    return importlib.import_module("install_requirements")


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_a_document_of_0_1_0_says_what_one_of_today_says(name: str, tmp_path: Path, builder: Any) -> None:
    files = REQUIREMENTS[name]
    stage = Stage("train", "train", "run.py", Batch(), requirements_file=FILE)
    found = requirements.of_stage(stage, frozenset(files), {path: text.encode() for path, text in files.items()})
    assert isinstance(found, requirements.Requirements)
    texts = (json.loads(recorded("builders"))[name][1], documents.write(found, "2021-03-05", by_default=True))
    read = []
    for text in texts:
        (tmp_path / "requirements.json").write_text(text)
        read.append(builder.read(str(tmp_path / "requirements.json")))
    assert read[0].items
    assert read[0] == read[1]


def test_a_later_document_is_read_as_far_as_it_is_known(tmp_path: Path, builder: Any) -> None:
    item = {"text": "six", "place": "a.txt:1", "name": "six", "by_version": True, "colour": "red"}
    path = tmp_path / "requirements.json"
    path.write_text(json.dumps({"version": 3, "file": "a.txt", "items": [item], "shape": "round"}))
    assert builder.read(str(path)) == builder.RequirementsDocument(
        "a.txt", [builder.ListedItem("six", "a.txt:1", name="six", by_version=True)]
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"file": "a", "items": [{"text": "six"}]}', '{"lines": ["six"]}'])
def test_a_damaged_document_is_refused(text: str, tmp_path: Path, builder: Any) -> None:
    (tmp_path / "requirements.json").write_text(text)
    with pytest.raises(Exception, match="is gone or damaged: start a new run"):
        builder.read(str(tmp_path / "requirements.json"))
