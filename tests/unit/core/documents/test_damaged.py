"""Each document, cut off anywhere and with a bit of any byte flipped, says what was written, or nothing: never else."""

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from controller.core.documents import attempt, requirements, run, seal, status
from controller.core.documents.codec import Answer, Corrupt, Good
from controller.core.documents.run import RunFile
from controller.core.inputs.requirements import Requirements, find
from controller.core.inputs.requirements.closure import Files
from controller.core.model import PastRun, Record, RunSpec, StageRecord
from controller.runtime import install_requirements
from controller.runtime.stage_order import digest, write_atomically

UNABLE: type[Exception] = importlib.import_module("stage_order").Unable  # as the installer finds it
UID = "3d2c1f9e-0b7a-4b62-8e6a-111111111111"
SPEC = RunSpec(
    "https://git.example/iris", "c" * 40, ".", "t", "python:3.12", parameters=(("alpha", "0.1"),), deadline=60
)
RECORD = Record(
    UID,
    phase="Ready",
    run=2,
    spec=SPEC,
    stages={"train": StageRecord(state="Done", attempts=1)},
    handled=("t1", "t2"),
    history=(PastRun(2, "Succeeded"), PastRun(1, "Failed", reason="ExitCode")),
)
USES = frozenset({PurePosixPath("checkouts/iris/c"), PurePosixPath("environments/e1")})
FILE = RunFile(request="iris", run=2, outcome="Succeeded", commit="c" * 40, images={"train": "python:3.12"})
OUTCOME: dict[str, Any] = {
    "exit_code": 1,
    "reason": "ExitCode",
    "message": "é",
    "metrics": {"rmse": 0.5},
    "redacted": 3,
}
NAME = "requirements.txt"
NEEDED = Requirements(NAME, find(Files({NAME}, set(), {NAME: b"flask==3.0.0\n"}), NAME, ".").entries)
LOCK = "flask==3.0.0\nwheel==0.45.1\n# wheel is from .\n"


def harms(content: bytes) -> Iterator[bytes]:
    for at in range(len(content)):
        yield content[:at]
        yield content[:at] + bytes([content[at] ^ 1 << at * 3 % 8]) + content[at + 1 :]


def acted_on(found: Answer[Any]) -> object:
    """Return the document that is acted on, without keys that a flipped bit has made; None for a damaged one."""
    match found:
        case Good(value):
            return replace(value, unknown={}) if hasattr(value, "unknown") else value
        case Corrupt():
            return None
        case _:
            return found  # absent, or a newer version's: the request would begin again, or be blocked


def launched(content: dict[str, Any], place: Path) -> str:
    write_atomically(str(place), content, durable=True)
    return place.read_text()


def to_install(text: str, place: Path) -> object:
    place.write_text(text)
    try:
        return install_requirements.read(str(place))
    except UNABLE:
        return None


def packages(text: str) -> object:
    return run.packages(text) if seal.is_sound_lock(text) else None


def outcome(text: str) -> object:
    found = attempt.of_log(1, text)
    return found if found.ended else None


Case = tuple[Callable[[Path], str], Callable[[str, Path], object]]
CASES: dict[str, Case] = {
    "the record's copy": (
        lambda _: status.copy(status.write(RECORD)),
        lambda text, _: acted_on(status.read_copy(text, UID)),
    ),
    "run.json": (lambda _: seal.sealed(run.write(FILE)), lambda text, _: acted_on(run.read(text))),
    "spec.json": (lambda _: seal.sealed(run.write_spec(SPEC)), lambda text, _: acted_on(run.read_spec(text))),
    "uses.json": (lambda _: seal.sealed(run.write_uses(USES)), lambda text, _: acted_on(run.read_uses(text))),
    "requirements.json": (lambda _: seal.sealed(requirements.write(NEEDED, "2024-01-01")), to_install),
    "what an attempt left": (lambda place: launched(OUTCOME, place), lambda text, _: outcome(text)),
    "an outdated environment": (
        lambda place: launched({"environment": "a" * 20}, place),
        lambda text, _: attempt.read_outdated(text) or None,
    ),
    "a lock": (lambda _: f"# sha256: {digest(LOCK)}\n{LOCK}", lambda text, _: packages(text)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_damaged_document_says_what_was_written_or_nothing(memory: Path, case: Case) -> None:
    write, read = case
    text, place = write(memory / "written"), memory / "damaged"
    whole = read(text, place)
    assert whole is not None
    for content in harms(text.encode()):
        damaged = content.decode(errors="replace")
        found = read(damaged, place) if damaged else None
        assert found is None or found == whole, content


def test_what_an_older_version_wrote_or_wrote_again_is_believed() -> None:
    again = json.dumps(json.loads(seal.sealed(run.write_spec(SPEC))), sort_keys=True)
    assert acted_on(run.read_spec(again)) == SPEC
    assert seal.is_sound_lock(LOCK)
    assert not seal.is_sound_lock("")
