"""What changed between two runs, by what each left behind."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.diff import ChangedValue, StageRun, compare
from controller.core.documents import codec
from controller.core.documents.run import RunFile, of_record, write
from controller.core.model import Attempt, Environment, PastRun, Record, RunSpec, StageRecord

calm = settings(deadline=None)  # a busy machine is no failure


def spec(commit: str = "c1", **more: Any) -> RunSpec:
    plain = {"repository": "https://example.com/iris", "path": ".", "tree": "t", "image": "python:3.12"}
    return RunSpec(**{**plain, "commit": commit, **more})


def run(lock: str = "numpy==1.26.0\npandas==2.2.0\n", version: str = "0.1.0", **more: Any) -> dict[str, Any]:
    """Return a run.json as the controller writes it: of two stages that share an environment."""
    environments = (Environment("environment", "key", ("train", "serve")),)
    stages = {
        "train": StageRecord(
            "Done", started="2026-11-23T06:00:00Z", finished="2026-11-23T06:01:05Z", image="i@sha256:1"
        ),
        "serve": StageRecord("Done"),
    }
    record = Record(
        "u", spec=spec(environments=environments, **more), stages=stages, history=(PastRun(1, "Succeeded"),)
    )
    attempts = {"train": [Attempt(1, ended=True), Attempt(2, ended=True)]}
    return dict(json.loads(write(of_record("iris", record, attempts, {"key": lock}, version))))


def read(left: dict[str, Any]) -> RunFile:
    """Return what a run left as a command reads it, whatever it is."""
    return codec.view(codec.from_plain(RunFile, left, "the run")) or RunFile()


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[ChangedValue]:
    return list(compare(read(before), read(after)).changes)


def test_equal_runs_differ_in_nothing() -> None:
    assert changes(run(), run()) == []


def test_every_kind_of_change_is_found_once() -> None:
    before = run(env=(("ALPHA", "1"),), secrets=(("aws", "7"),), parameters=(("N", "3"),))
    lock = "numpy==2.0.0\nscipy==1.14.0\npandas==2.2.0\n"
    after = run(lock, "0.2.0", commit="c2", env=(("BETA", "1"),), secrets=(("aws", "9"),), parameters=(("N", "4"),))
    after["image_digests"] = {"train": "i@sha256:2"}
    assert changes(before, after) == [
        ChangedValue("commit", "", "c1", "c2"),
        ChangedValue("controller", "", "0.1.0", "0.2.0"),
        ChangedValue("parameter", "N", "3", "4"),
        ChangedValue("variable", "ALPHA", "1", ""),
        ChangedValue("variable", "BETA", "", "1"),
        ChangedValue("secret", "aws", "version 7", "version 9"),
        ChangedValue("image digest", "", "i@sha256:1", "i@sha256:2", ("train",)),
        ChangedValue("package", "numpy", "1.26.0", "2.0.0", ("train", "serve")),
        ChangedValue("package", "scipy", "", "1.14.0", ("train", "serve")),
    ]


def test_a_stage_that_asks_for_other_packages_alone_is_named_with_them() -> None:
    after = run()
    after["environments"] = [
        {"name": "environment", "stages": ["serve"], "packages": {"numpy": "1.26.0", "pandas": "2.2.0"}},
        {"name": "environment-2", "stages": ["train"], "packages": {"numpy": "1.26.0"}},
    ]
    assert changes(run(), after) == [ChangedValue("package", "pandas", "2.2.0", "", ("train",))]


def test_stages_are_compared_side_by_side_with_times_and_attempts() -> None:
    after = run()
    after["stages"] = {"train": {"state": "Failed", "reason": "ExitCode"}, "check": {"state": "Skipped"}}
    assert compare(read(run()), read(after)).stages == {
        "train": (StageRun("Done", attempts=2, seconds=65.0), StageRun("Failed", "ExitCode")),
        "serve": (StageRun("Done"), None),
        "check": (None, StageRun("Skipped")),
    }


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    ["spec", "stages", "environments", "secrets", "env", "parameters", "image_digests", "commit", "image"]
)


@calm
@given(st.dictionaries(keys, values), st.dictionaries(keys, values))
def test_whatever_a_run_left_can_be_compared(one: dict[str, Any], other: dict[str, Any]) -> None:
    compare(read(one), read(other))
    assert changes(one, one) == []


def test_numbers_differ_where_they_differ_by_little() -> None:
    before, after = run(), run()
    before["stages"]["train"]["metrics"] = {"accuracy": 0.93, "rows": 1200, "loss": 0.1234567, "gone": 1}
    after["stages"]["train"]["metrics"] = {"accuracy": 0.93, "rows": 1200.0, "loss": 0.1234568}
    assert changes(before, after) == [
        ChangedValue("number", "gone", "1", "", ("train",)),
        ChangedValue("number", "loss", "0.1234567", "0.1234568", ("train",)),
    ]
