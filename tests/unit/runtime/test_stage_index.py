import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from controller.runtime import stage_index


def test_its_result_is_on_the_disk_before_its_outcome_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a machine that dies leaves an index that is done, and of which the next stage finds nothing."""
    monkeypatch.setenv("COACHWORK_INDEX", "1")
    monkeypatch.setenv("COACHWORK_ARTIFACTS", str(tmp_path))
    monkeypatch.setenv("COACHWORK_STAGE", "sweep")
    order = SimpleNamespace(
        paths={"logs": str(tmp_path)}, peers=(), peers_port=0, indexes=2, each=[["A", ["3", "5\n\x1b[31m6"]]]
    )
    index = stage_index.Index(order, local=True)  # type: ignore[arg-type]
    index.begin()
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    index.end({"score": 0.5})
    result = tmp_path / "sweep/1/index.json"
    assert json.loads(result.read_bytes()) == {
        "index": 1,
        "variables": {"A": "5\n\x1b[31m6"},
        "metrics": {"score": 0.5},
    }
    assert index.words == "index 1 of 2, A=5 6"
    assert synced == [result.stat().st_ino]
