"""An upgrade rolls no service, builds no environment anew and loses sight of nothing: what 0.1.0 made is made again."""

import json
from pathlib import Path

import pytest

from tests.support.recorded import RECORDS, TABLES, listed, recorded, render, run, shown
from tests.support.recorded_scenarios import DOCUMENTED, SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_manifests_and_documents_are_those_of_0_1_0_byte_by_byte(name: str, memory: Path) -> None:
    for file, text in run(name, memory).items():
        assert text == recorded(file), file


@pytest.mark.parametrize("name", TABLES)
def test_keys_digests_names_and_paths_are_those_of_0_1_0(name: str) -> None:
    assert render(TABLES[name]()) == recorded(name)


def test_everything_that_was_recorded_is_held_to() -> None:
    runs = {f"manifests/{name}" for name in SCENARIOS} | {f"documents/{name}" for name in DOCUMENTED}
    assert listed() == runs | TABLES.keys()


BEGUN = [path for path in RECORDS if "/uses.json" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", BEGUN, ids=lambda path: path.stem)
def test_runs_that_0_1_0_left_on_a_volume_are_shown_with_their_attempts(path: Path, memory: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    files = record["files"]
    runs, attempts = shown(record, memory)
    assert runs == {
        name.partition("/")[0]: json.loads(files.get(name.replace("uses", "run"), '{"outcome": ""}'))["outcome"]
        for name in files
        if name.endswith("/uses.json")
    }
    for name, text in files.items():
        run, _, rest = name.partition("/logs/")
        if rest.endswith(".json"):
            stage, number = rest.removesuffix(".json").split("/")
            assert attempts[run, stage, int(number)] == json.loads(text)["exit_code"]


def test_attempts_of_every_kind_are_among_what_0_1_0_left(memory: Path) -> None:
    (laptop,) = (path for path in RECORDS if path.stem == "laptop")
    _, attempts = shown(json.loads(laptop.read_text(encoding="utf-8")), memory)
    ends = {
        stage: [code for (run, name, _), code in attempts.items() if (run, name) == ("2", stage)]
        for _, stage, _ in attempts
    }
    assert ends == {"environment": [0], "train": [1, 0], "web": [None], "judge": [4], "tell": [0]}
