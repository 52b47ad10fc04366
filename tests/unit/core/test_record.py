"""The record survives its way through a ConfigMap, whatever is in it."""

import json
from dataclasses import asdict, fields
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from controller.core import record
from controller.core.model import PastRun, Phase, Record, RunSpec, StageRecord, StageState

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
    texts = {field.name: LINE for field in fields(PastRun) if field.name != "run"}
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
    assert record.spec_from(json.loads(json.dumps(asdict(spec)))) == spec


@given(st.dictionaries(st.sampled_from([field.name for field in fields(RunSpec)]) | WORD, st.none() | NUMBER | WORD))
def test_a_file_that_another_version_wrote_is_none_or_one(kept: dict[str, Any]) -> None:
    assert isinstance(record.spec_from(kept), RunSpec | None)


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
