"""The record survives its way through a ConfigMap, whatever is in it."""

import json
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.core import manifests, names, sweep
from controller.core.documents import record
from controller.core.model import (
    Environment,
    Failure,
    GitSource,
    PastRun,
    Phase,
    Record,
    RunSpec,
    StageRecord,
    StageState,
)

LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=60).map(record.one_line)
WORD = st.text("abcdefghijklmnop-_0123456789:~{}[]#", max_size=12)
NUMBER = st.integers(0, 10_000)


def stages() -> st.SearchStrategy[dict[str, StageRecord]]:
    one = st.builds(
        StageRecord,
        state=st.sampled_from(get_args(StageState)),
        reason=WORD,
        message=LINE,
        started=WORD,
        finished=WORD,
        attempts=NUMBER,
        waiting_since=WORD,
        waiting_for=st.sampled_from(["", "start", "schedule"]),
        objects=st.lists(WORD.filter(bool), max_size=3).map(tuple),
    )
    return st.dictionaries(st.text("abcxyz_-019", min_size=1, max_size=8), one, max_size=4)


def pasts() -> st.SearchStrategy[PastRun]:
    texts = {field.name: LINE for field in fields(PastRun) if field.name not in ("run", "unknown")}
    return st.builds(PastRun, run=NUMBER, **texts)


def specs() -> st.SearchStrategy[RunSpec]:
    pairs: Any = st.lists(st.tuples(WORD, LINE), max_size=3).map(tuple)
    return st.builds(
        RunSpec,
        repository=LINE,
        commit=WORD,
        path=WORD,
        tree=WORD,
        image=WORD,
        project_name=WORD,
        env=pairs,
        deadline=st.none() | NUMBER,
        trigger=LINE,
        cause=WORD,
        parameters=pairs,
        rerun=NUMBER,
    )


def records() -> st.SearchStrategy[Record]:
    return st.builds(
        Record,
        request_uid=WORD.filter(bool),
        phase=st.sampled_from(get_args(Phase)),
        reason=WORD,
        message=LINE,
        problems=st.lists(LINE.filter(bool), max_size=3).map(tuple),
        run=NUMBER,
        step=NUMBER,
        spec=st.none() | specs(),
        ref=WORD,
        started=WORD,
        finished=WORD,
        stages=stages(),
        handled=st.lists(LINE.filter(bool), max_size=3).map(tuple),
        queued=LINE,
        finished_trigger=LINE,
        request_digest=WORD,
        release_run=NUMBER,
        release_commit=WORD,
        history=st.lists(pasts(), max_size=3).map(tuple),
        poll_commit=WORD,
        poll_problem=LINE,
        schedule_problem=LINE,
    )


@given(records())
def test_a_record_reads_back_as_it_was_written(kept: Record) -> None:
    assert record.from_data(record.to_data(kept), kept.request_uid) == kept


@given(specs())
def test_what_a_run_was_started_with_reads_back_from_its_own_file(spec: RunSpec) -> None:
    assert record.spec_from(json.loads(json.dumps(record.plain(spec)))) == spec


@given(
    st.dictionaries(
        st.sampled_from([field.name for field in fields(RunSpec) if field.name != "unknown"]) | WORD,
        st.none() | NUMBER | WORD,
    )
)
def test_a_file_that_another_version_wrote_is_read_or_refused(kept: dict[str, Any]) -> None:
    with suppress(record.TooNew):
        assert isinstance(record.spec_from(kept), RunSpec)


# --- what other versions wrote ---------------------------------------------------------------------

RECORDED = sorted((Path(__file__).parents[2] / "support" / "records-0.1.0").glob("*.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_release_0_1_0_wrote_is_read_and_nothing_of_it_is_lost(path: Path) -> None:
    told = json.loads(path.read_text(encoding="utf-8"))
    uid = told["request"]["metadata"]["uid"]
    copies = [yaml.safe_load(text) for name, text in told["files"].items() if name == "record.yaml"]
    for data in (told["maps"]["iris-status"], *copies):
        kept = record.from_data(data, uid)
        assert kept is not None
        assert kept.phase == data["phase"]
        assert holds(record.to_data(kept), {key: text for key, text in data.items() if key != "digest"})
    for name, text in told["files"].items():
        if name.endswith("spec.json"):
            assert holds(record.plain(record.spec_from(json.loads(text))), json.loads(text))
        if name.endswith("uses.json"):
            assert sweep.uses_text(sweep.uses_of(text)) == text
    if release := told["maps"].get("iris-release"):
        kinds = [item["kind"] for item in manifests.release_objects({"data": release})]
        assert kinds[:2] == ["Deployment", "Service"]


def holds(new: Any, old: Any) -> bool:
    """Tell whether all of `old` is in `new`, text that is YAML by what it says."""
    if isinstance(old, dict):
        return all(key in new and holds(new[key], value) for key, value in old.items())
    if isinstance(old, list):
        return len(new) == len(old) and all(map(holds, new, old))
    return bool(new == old) or (isinstance(old, str) and "\n" in old and holds(*map(yaml.safe_load, (new, old))))


NEW = {"novelty": ["x", {"y": 1}], "other": "z"}


def resealed(data: dict[str, str], **more: str) -> dict[str, str]:
    """Give a record as a newer version would write it, with the digest of today."""
    data = {key: value for key, value in {**data, **more}.items() if key != "digest"}
    return data | {"digest": names.digest(json.dumps(data, sort_keys=True), 64)}


def extended(data: dict[str, str]) -> dict[str, str]:
    """Give a record in which each part has something new."""
    spec, failure = (yaml.safe_load(data[key]) for key in ("run-spec", "failure"))
    stages, history = (yaml.safe_load(data[key]) for key in ("stages", "history"))
    environments = [
        {**item, "sources": [{**s, **NEW} for s in item["sources"]], **NEW} for item in spec["environments"]
    ]
    parts = {
        "run-spec": {**spec, "environments": environments, **NEW},
        "stages": {name: {**stage, **NEW} for name, stage in stages.items()},
        "history": [{**past, **NEW} for past in history],
        "failure": {**failure, **NEW},
    }
    return resealed(data, **{key: yaml.safe_dump(part) for key, part in parts.items()}, **{"run-metrics": "a: 1"})


def test_what_a_newer_version_added_in_any_part_is_kept_and_written_back() -> None:
    source = GitSource("git+https://x/y", "https://x/y", "c")
    environment = Environment("environment", "f", ("a",), (source,))
    spec = RunSpec("r", "c", ".", "t", "i", environments=(environment,))
    kept = Record(
        "u", run=3, spec=spec, stages={"a": StageRecord()}, history=(PastRun(2),), failure=Failure("a", "R", "m")
    )
    newer = extended(record.to_data(kept))
    read = record.from_data(newer, "u")
    assert read is not None
    assert (read.run, read.spec and read.spec.commit, read.unknown) == (3, "c", {"run-metrics": "a: 1"})
    written = record.to_data(read)
    for key in ("run-spec", "stages", "history", "failure"):
        assert yaml.safe_load(written[key]) == yaml.safe_load(newer[key])
    assert record.from_data(written, "u") == read


@pytest.mark.parametrize(
    "change",
    [
        {"version": "2"},
        {"history": "{latest: {run: 1}}"},
        {"history": "[7]"},
        {"stages": "{a: {attempts: [1, 2]}}"},
        {"stages": "{a: {state: Indexed}}"},
        {"run-spec": "{repository: r, commit: {sha256: c}, path: ., tree: t, image: i}"},
        {"run-spec": "{repository: r}"},
        {"run": "3.1"},
        {"handled-triggers": "7"},
    ],
)
def test_a_record_that_can_not_be_honoured_is_told_apart_from_one_that_somebody_wrote_over(
    change: dict[str, str],
) -> None:
    data = record.to_data(Record("u", run=3, spec=RunSpec("r", "c", ".", "t", "i"), stages={"a": StageRecord()}))
    with pytest.raises(record.TooNew, match="newer version"):
        record.from_data(resealed(data, **change), "u")
    assert record.from_data({**data, **change}, "u") is None


@given(records(), st.data())
def test_no_record_of_another_shape_is_a_defect(kept: Record, draw: st.DataObject) -> None:
    data = record.to_data(kept)
    values = st.none() | NUMBER | WORD | st.lists(NUMBER, max_size=2) | st.dictionaries(WORD, WORD, max_size=2)
    key = draw.draw(st.sampled_from(["run-spec", "stages", "history", "failure", "handled-triggers", "run", "version"]))
    with suppress(record.TooNew):
        record.from_data(resealed(data, **{key: yaml.safe_dump(draw.draw(values))}), kept.request_uid)


@given(records())
def test_every_value_is_a_string_under_a_valid_key(kept: Record) -> None:
    data = record.to_data(kept)
    assert all(isinstance(value, str) for value in data.values())
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyz-._0123456789") for key in data)


@given(st.dictionaries(st.sampled_from(["phase", "run", "stages", "history", "run-spec", "request-uid"]), st.text()))
def test_a_record_that_someone_wrote_over_is_no_record_or_one(data: dict[str, str]) -> None:
    assert isinstance(record.from_data(data | {"request-uid": "u"}, "u"), Record | None)


@given(records(), st.data())
def test_a_record_that_was_written_over_in_any_place_is_no_record(kept: Record, draw: st.DataObject) -> None:
    data = record.to_data(kept)
    key = draw.draw(st.sampled_from(sorted(data)))
    value = draw.draw(st.none() | st.text(max_size=9).filter(lambda text: text != data[key]))
    changed = {**data, key: value} if value is not None else {name: data[name] for name in data if name != key}
    assert record.from_data(changed, kept.request_uid) is None


def test_a_bomb_of_aliases_in_a_record_is_never_unfolded() -> None:
    levels = [f"- &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 30)]
    data = record.to_data(Record(request_uid="u", handled=("t",)))
    bomb = "\n".join(["- &a0 [x]", *levels])
    assert record.from_data({**data, "handled-triggers": bomb}, "u") is None


def test_the_record_of_another_request_is_no_record() -> None:
    assert record.from_data(record.to_data(Record(request_uid="old")), "new") is None


@given(st.text())
def test_one_line_is_one_line_within_its_limit(text: str) -> None:
    line = record.one_line(text, 100)
    assert len(line.encode()) <= 100
    assert "\n" not in line
    assert line == record.one_line(line, 100)
