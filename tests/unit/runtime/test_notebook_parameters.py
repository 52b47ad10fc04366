"""What a run sets of a notebook: the variables that its cell tagged `parameters` assigns, as Python's values."""

import json
from pathlib import Path

import nbformat
import pytest

from controller.runtime.notebook_run import read, set_parameters
from tests.support.notebooks import notebook

TAGGED = {1: "parameters"}


def cells(folder: Path, text: str, *names: str) -> list[tuple[str, list[str]]]:
    """Return the sources and tags of the code cells, once the variables of these names are set."""
    path = folder / "fit.ipynb"
    path.write_text(text)
    found = read(str(path))
    set_parameters(found, names)
    nbformat.validate(found)
    return [(cell.source, cell.metadata.get("tags", [])) for cell in found.cells if cell.cell_type == "code"]


@pytest.mark.parametrize(
    ("source", "value", "line"),
    [
        ("N = 3", "4", "N = 4"),
        ("N = 3", "-4.5e-3", "N = -0.0045"),
        ("N = []", "[1, 'x']", "N = [1, 'x']"),
        ("N = 3", "s3://data", "N = 's3://data'"),
        ("N = 3", "2 * 2", "N = '2 * 2'"),
        ("N = 3", "(" * 9999, f"N = '{'(' * 9999}'"),
        ("N = 'x'", "4", "N = '4'"),
        ("N = f'x{1}'", "4", "N = '4'"),
        ("N = True", "false", "N = False"),
        ("N = False", "TRUE", "N = True"),
        ("N: int = 3", "4", "N = 4"),
        ("M = N = 3", "4", "N = 4"),
        ("import os\nN = os.cpu_count()", "4", "N = 4"),
        ("N, M = 1, 2", "4", ""),
        ("%matplotlib inline\nN = 3", "4", ""),
        ("print('none')", "4", ""),
    ],
)
def test_a_variable_is_set_to_what_its_default_says_that_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, value: str, line: str
) -> None:
    monkeypatch.setenv("N", value)
    text = notebook(source, "print(N)", tags=TAGGED)
    added = [(line, ["injected-parameters"])] if line else []
    assert cells(tmp_path, text, "N") == [(source, ["parameters"]), *added, ("print(N)", [])]


def test_only_what_the_run_sets_and_the_cell_assigns_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in "ABC":
        monkeypatch.setenv(name, "9")
    source = "A = 1\nB = 2\nNOT_SET = 3"
    assert cells(tmp_path, notebook(source, tags=TAGGED), "A", "C", "NOT_SET")[1:] == [
        ("A = 9", ["injected-parameters"])
    ]
    assert len(cells(tmp_path, notebook(source), "A")) == 1, "no cell is tagged"


def test_what_was_set_when_its_author_ran_it_by_papermill_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("N", "4")
    text = notebook("N = 3", "N = 99", "print(N)", tags={**TAGGED, 2: "injected-parameters"})
    assert [source for source, _ in cells(tmp_path, text, "N")] == ["N = 3", "N = 4", "print(N)"]


def test_a_notebook_of_any_age_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("N", "4")
    old = {"cell_type": "code", "input": "1", "metadata": {}, "outputs": [], "language": "python", "collapsed": False}
    sheets = [{"cells": [old], "metadata": {}}]
    text = json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": sheets})
    assert cells(tmp_path, text) == [("1", [])]
    newest = json.loads(notebook("N = 3", tags=TAGGED)) | {"nbformat_minor": 5}
    newest["cells"] = [{**cell, "id": "abc"} for cell in newest["cells"][1:]]
    assert len(cells(tmp_path, json.dumps(newest), "N")) == 2, "it gives its cells ids"
