"""Why a stage failed, in one line, on a laptop."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.causes import WAYS, Way
from tests.support.laptop import Laptop, laptop


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Laptop]:
    with laptop(tmp_path, steady=2.0) as machine:
        yield machine


@pytest.mark.parametrize("way", [way for way in WAYS if not way.only_on_a_cluster], ids=lambda way: way.name)
def test_a_stage_that_fails_says_why_where_and_what_helps(machine: Laptop, way: Way) -> None:
    machine.repository.commit(way.files("demo"))
    machine.ask()
    data = machine.wait("Failed")
    assert data["reason"] == way.reason, data
    assert [part for part in way.told if part not in data["message"]] == [], data["message"]
