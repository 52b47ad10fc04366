"""The record survives its way through a ConfigMap, whatever is in it."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller.core import manifests
from controller.core.documents import codec, run, status
from controller.core.documents.codec import Absent, Answer, Corrupt, Good, TooNew
from controller.core.model import (
    Notice,
    PastRun,
    Phase,
    Record,
    RunSpec,
    StageRecord,
    StageState,
)
from controller.core.text import fit
from tests.support import later
from tests.support.later import sealed

LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=60).map(fit)
WORD = st.text("abcdefghijklmnop-_0123456789:~{}[]#", max_size=12)
NUMBER = st.integers(0, 10_000)
MEASURED = st.dictionaries(WORD, st.floats(allow_nan=False, allow_infinity=False) | NUMBER, max_size=3)
MEASURED_STAGES = st.dictionaries(WORD, MEASURED, max_size=2)


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
        metrics=MEASURED,
    )
    return st.dictionaries(st.text("abcxyz_-019", min_size=1, max_size=8), one, max_size=4)


def pasts() -> st.SearchStrategy[PastRun]:
    texts = {field.name: LINE for field in fields(PastRun) if field.name not in ("run", "metrics", "unknown")}
    return st.builds(PastRun, run=NUMBER, metrics=MEASURED_STAGES, **texts)


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
        steps=st.lists(st.lists(WORD, max_size=3).map(tuple), max_size=3).map(tuple),
        services=st.lists(WORD, max_size=3).map(tuple),
        on_failure=WORD,
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
        release_numbers=MEASURED_STAGES,
        history=st.lists(pasts(), max_size=3).map(tuple),
        poll_commit=WORD,
        poll_problem=LINE,
        schedule_problem=LINE,
        notices=st.lists(st.builds(Notice, NUMBER, st.sampled_from(["Failed", "RolledBack"]), NUMBER, WORD)).map(tuple),
        notify_problem=LINE,
    )


@given(records())
def test_a_record_reads_back_as_it_was_written(kept: Record) -> None:
    assert status.read(status.write(kept), kept.request_uid) == Good(kept)
    assert status.read_copy(status.copy(status.write(kept)), kept.request_uid) == Good(kept)


@given(specs())
def test_what_a_run_was_started_with_reads_back_from_its_own_file(spec: RunSpec) -> None:
    assert run.read_spec(run.write_spec(spec)) == Good(spec)


@given(
    st.dictionaries(
        st.sampled_from([field.name for field in fields(RunSpec) if field.name != "unknown"]) | WORD,
        st.none() | NUMBER | WORD,
    )
)
def test_a_file_that_another_version_wrote_is_read_or_refused(kept: dict[str, Any]) -> None:
    assert isinstance(codec.view(run.read_spec(json.dumps(kept))), RunSpec)


# --- what other versions wrote ---------------------------------------------------------------------

ROOT = Path(__file__).parents[4]
RECORDED = sorted((ROOT / "tests" / "support" / "records-0.1.0").glob("*.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_release_0_1_0_wrote_is_read_and_nothing_of_it_is_lost(path: Path) -> None:
    told = json.loads(path.read_text(encoding="utf-8"))
    uid = told["request"]["metadata"]["uid"]
    copies = [yaml.safe_load(text) for name, text in told["files"].items() if name == "record.yaml"]
    for data in (told["maps"]["iris-status"], *copies):
        kept = codec.honoured(status.read(data, uid))
        assert kept is not None
        assert kept.phase == data["phase"]
        assert holds(status.write(kept), {key: text for key, text in data.items() if key != "digest"})
    for name, text in told["files"].items():
        if name.endswith("spec.json"):
            spec = codec.honoured(run.read_spec(text))
            assert spec is not None
            assert holds(json.loads(run.write_spec(spec)), json.loads(text))
        if name.endswith("run.json"):
            left = codec.honoured(run.read(text))
            assert left is not None
            assert holds(json.loads(run.write(left)), json.loads(text))
        if name.endswith("uses.json"):
            uses = codec.honoured(run.read_uses(text))
            assert uses is not None
            assert run.write_uses(uses) == text
    if release := told["maps"].get("iris-release"):
        kinds = [item["kind"] for item in manifests.release_objects({"data": release})]
        assert kinds[:2] == ["Deployment", "Service"]


def holds(new: Any, old: Any) -> bool:
    """Return whether all of `old` is in `new`, text that is YAML by what it says."""
    if isinstance(old, dict):
        return all(key in new and holds(new[key], value) for key, value in old.items())
    if isinstance(old, list):
        return len(new) == len(old) and all(map(holds, new, old))
    return bool(new == old) or (isinstance(old, str) and "\n" in old and holds(*map(yaml.safe_load, (new, old))))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_a_later_version_adds_in_any_part_is_kept_and_written_back(path: Path) -> None:
    told = json.loads(path.read_text(encoding="utf-8"))
    newer = later.extended(told["maps"]["iris-status"])
    record = codec.honoured(status.read(newer, told["request"]["metadata"]["uid"]))
    assert record is not None
    assert holds(status.write(record), {key: text for key, text in newer.items() if key != "digest"})
    for name, text in told["files"].items():
        if name.endswith("spec.json"):
            wider = json.dumps(later.extended_spec(json.loads(text)))
            spec = codec.honoured(run.read_spec(wider))
            assert spec is not None
            assert holds(json.loads(run.write_spec(spec)), json.loads(wider))
        if name.endswith("run.json"):
            wider = json.dumps(later.extended_run(json.loads(text)))
            left = codec.honoured(run.read(wider))
            assert left is not None
            assert holds(json.loads(run.write(left)), json.loads(wider))


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
    data = status.write(Record("u", run=3, spec=RunSpec("r", "c", ".", "t", "i"), stages={"a": StageRecord()}))
    answer = status.read(sealed({**data, **change}), "u")
    assert isinstance(answer, TooNew)
    assert "newer version" in answer.problem
    assert (answer.view.phase, answer.view.request_uid) == ("Pending", "u")
    with pytest.raises(codec.RecordTooNew, match="newer version"):
        codec.honoured(answer)
    assert isinstance(status.read({**data, **change}, "u"), Corrupt)


@given(records(), st.data())
def test_no_record_of_another_shape_is_a_defect(kept: Record, draw: st.DataObject) -> None:
    data = status.write(kept)
    values = st.none() | NUMBER | WORD | st.lists(NUMBER, max_size=2) | st.dictionaries(WORD, WORD, max_size=2)
    key = draw.draw(st.sampled_from(["run-spec", "stages", "history", "failure", "handled-triggers", "run", "version"]))
    answer = status.read(sealed({**data, key: yaml.safe_dump(draw.draw(values))}), kept.request_uid)
    assert isinstance(codec.view(answer), Record)


@given(records())
def test_every_value_is_a_string_under_a_valid_key(kept: Record) -> None:
    data = status.write(kept)
    assert all(isinstance(value, str) for value in data.values())
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyz-._0123456789") for key in data)


@given(st.dictionaries(st.sampled_from(["phase", "run", "stages", "history", "run-spec", "request-uid"]), st.text()))
def test_what_is_not_sealed_is_corrupt_whatever_it_holds(data: dict[str, str]) -> None:
    assert isinstance(status.read(data | {"request-uid": "u"}, "u"), Corrupt)


@given(records(), st.data())
def test_a_record_that_was_written_over_in_any_place_is_not_good(kept: Record, draw: st.DataObject) -> None:
    data = status.write(kept)
    key = draw.draw(st.sampled_from(sorted(data)))
    value = draw.draw(st.none() | st.text(max_size=9).filter(lambda text: text != data[key]))
    changed = {**data, key: value} if value is not None else {name: data[name] for name in data if name != key}
    assert isinstance(status.read(changed, kept.request_uid), Absent if key == "request-uid" else Corrupt)


def test_a_bomb_of_aliases_in_a_record_is_never_unfolded() -> None:
    levels = [f"- &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 30)]
    bomb = "\n".join(["- &a0 [x]", *levels])
    data = status.write(Record("u", handled=("t",), spec=SPEC))
    data |= {"handled-triggers": bomb, "run-spec": data["run-spec"] + f"novelty:\n{bomb}\n"}
    assert status.read(data, "u") == Corrupt(Record("u"))
    assert isinstance(status.read(sealed(data), "u"), TooNew)


def test_the_record_of_another_request_is_absent() -> None:
    assert status.read(status.write(Record(request_uid="old")), "new") == Absent()


SPEC = RunSpec("r", "c", ".", "t", "i")
DAMAGED = Corrupt(Record("u", run=7))
CLAIMS = Corrupt(Record("u", run=8), newer="its version is 2")
GOOD, NEWER = Good(Record("u", run=3)), TooNew(Record("u", run=4), "its version is 2")
CLAIMED = TooNew(CLAIMS.view, CLAIMS.newer)


@pytest.mark.parametrize(
    ("written", "copy", "honoured"),
    [
        (GOOD, DAMAGED, GOOD),
        (NEWER, GOOD, NEWER),
        (Absent(), GOOD, GOOD),
        (Absent(), NEWER, NEWER),
        (Absent(), Absent(), Absent()),
        (Absent(), DAMAGED, DAMAGED),
        (DAMAGED, GOOD, GOOD),
        (DAMAGED, NEWER, NEWER),
        (DAMAGED, Absent(), DAMAGED),
        (DAMAGED, CLAIMS, CLAIMED),
        (CLAIMS, GOOD, GOOD),
        (CLAIMS, DAMAGED, CLAIMED),
        (CLAIMS, Absent(), CLAIMED),
    ],
)
def test_the_copy_stands_in_for_a_record_that_is_lost(
    written: Answer[Record], copy: Answer[Record], honoured: Answer[Record]
) -> None:
    assert status.restored(written, copy) == honoured


@pytest.mark.parametrize(
    ("view", "run", "handled"),
    [
        (Record("u"), 4, ()),
        (Record("u", run=7, handled=("a", "b")), 7, ("a", "b")),
        (Record("u", run=10**30, handled=("", "a")), 4, ("a",)),
        (Record("u", run=7, spec=replace(SPEC, trigger="b"), handled=("a", "b")), 7, ("a",)),
        (Record("u", run=7, spec=replace(SPEC, trigger="b"), finished="x", handled=("a", "b")), 7, ("a", "b")),
    ],
)
def test_of_a_damaged_record_what_was_over_stays_over(view: Record, run: int, handled: tuple[str, ...]) -> None:
    assert status.remains(view, last_run=4) == Record("u", run=run, handled=handled)


@pytest.mark.parametrize(
    "content", ["][", "- a list", "\ufffd", "null", "{a: &a [*a, *a]}", "a: 2026-99-99", "[" * 9999]
)
def test_a_copy_that_can_not_be_read_is_corrupt(content: str) -> None:
    assert isinstance(status.read_copy(content, "u"), Corrupt)


def test_a_copy_that_is_not_there_is_absent() -> None:
    assert status.read_copy("", "u") == Absent()


def test_nothing_that_a_record_says_can_act_on_a_terminal() -> None:
    stages = {"\x1b": StageRecord(message="\x1b]0;x\n", objects=("\u202e",))}
    hostile = Record(
        "u", message="\x1b[2J", problems=("\u202e",), stages=stages, handled=("\x07",), unknown={"a": "\x1b"}
    )
    shown = codec.printable(hostile)
    (name, stage), *_ = shown.stages.items()
    assert all(text.isprintable() for text in (shown.message, *shown.problems, *shown.handled))
    assert all(text.isprintable() for text in (name, stage.message, *stage.objects))
    assert shown.unknown == {}


def test_a_copy_is_the_data_whatever_its_texts_hold() -> None:
    data = {"phase": "Ready", "run": "7", "message": "no: 1\n- ümläut \x85 \u2028 'quoted'", "finished": "2026-01-01"}
    assert status.copied(status.copy(data)) == data


def test_no_other_place_knows_a_key_of_the_record() -> None:
    ready = json.loads((ROOT / "tests/support/records-0.1.0/scheduled-and-polled.json").read_text(encoding="utf-8"))
    keys = {key for key in ready["maps"]["iris-status"] if "-" in key and not key.startswith("stage.")}
    assert "handled-triggers" in keys
    for path in (ROOT / "controller").rglob("*.py"):
        if "documents" not in path.parts:
            text = path.read_text(encoding="utf-8")
            assert not [key for key in keys if f'"{key}"' in text], path
