"""What the scripts in containers read: orders, what stages and packages say and leave, what an installer wrote."""

import atexit
import importlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from controller.core import numbers
from tests.fuzz.target import Target

TAIL = 192 * 1024  # bytes that a launcher keeps of what a script said
SECRETS = ("s3cr3t pass/word+", "0123456789", "ab\ncd")


def _module(name: str) -> Any:
    """Return a script's module, which finds the others beside itself."""
    return importlib.import_module(name)


def _left(name: str, data: bytes | str) -> str:
    """Return the path of a file with this content, which the next one replaces."""
    path = _FOLDER / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    return str(path)


def some_metrics(data: bytes) -> Iterable[str]:
    """What a script left is finite numbers that the controller takes as they are, or is named."""
    metrics = _module("stage_metrics")
    found, odd = metrics.read(_left("metrics", data), _module("stage_redact").Redactor(SECRETS).text)
    assert numbers.taken(json.loads(json.dumps(found, allow_nan=False))) == found
    gate = [["accuracy", ">=", 0.9, ">= 0.9"], ["rows", "<", None, "< previous"]]
    clean = _module("stage_text").clean
    return [clean(line) for line in (odd, metrics.unmet(gate, found, odd, "REQUIRE")) if line]


def last_words(data: bytes) -> Iterable[str]:
    """Why a script failed, whatever it said last."""
    cause, remedy, order = _module("stage_cause"), _module("stage_remedy"), _module("stage_order")
    places = order.ScriptPlaces("/work", "/work", "/work/train", "train/main.py", "train/requirements.txt")
    for status in (1, 3, -9):
        said = cause.read(data[-TAIL:], places, status)
        found = remedy.find(remedy.FailedScript(said, places, "/published"))
        _, message = cause.explain(status, said, places, out_of_memory=False, reason=found.reason, remedy=found.text)
        yield _module("stage_text").clean(message)


def words_of_uv(text: str) -> Iterable[str]:
    """Why an installation failed, whatever uv and what it builds have said; its terminal is taken apart as a whole."""
    requirements, uv = _module("install_requirements"), _module("install_uv")
    items = [requirements.ListedItem("pandas==2.0", "r.txt:1", name="pandas", pinned=True, by_version=True)]
    file = requirements.File("/scratch/requirements.txt", ["pandas==2.0"], items)
    prepared = requirements.Prepared("r.txt", "/scratch/links", [], [file], {"/scratch/project": "."}, "2024-03-05")
    known = _module("install_resolve").Known("the index", lambda _line: "2.1", "pin a wheel")
    for code in (1, 2, -9):
        error = _module("install_cause").explain(uv.Done(code, text[-TAIL:]), prepared, known)
        yield _module("stage_text").clean(str(error))
    terminal, progress = _module("install_terminal").Terminal(), _module("install_progress").Progress()
    os.set_blocking(terminal.output, False)
    os.write(terminal.output, text.encode("utf-8", "replace")[:3000])
    for line in terminal.lines():
        progress.see(terminal)
        progress.hear(line or "", quiet=True)
    terminal.close()
    yield _module("stage_text").clean(progress.doing() or "-")


def a_stream(data: bytes) -> None:
    """However output is cut into pieces, no secret that it holds is passed on."""
    redact = _module("stage_redact").Redactor(SECRETS)
    whole = _module("stage_redact").Redactor(SECRETS)
    step = len(data) % 7 + 1
    pieces = [redact.feed(data[at : at + step]) for at in range(0, min(len(data), 20_000), step)]
    passed = b"".join([*pieces, redact.flush()])
    assert passed == whole.feed(data[: -(-min(len(data), 20_000) // step) * step]) + whole.flush()
    assert not any(form in passed for secret in SECRETS for form in _module("stage_redact").forms(secret.encode()))


def a_requirements_document(text: str) -> Iterable[str]:
    """What a builder is to install is as the controller wrote it, or damaged; never something else."""
    requirements, order = _module("install_requirements"), _module("stage_order")
    with tempfile.TemporaryDirectory(dir=_FOLDER) as scratch:
        try:
            document = requirements.read(_left("requirements.json", text))
            requirements.prepare(document, str(_FOLDER), {}, scratch)
        except order.Unable as error:
            yield _module("stage_text").clean(str(error))


def left_behind(data: bytes) -> Iterable[str]:
    """What an environment, a lost attempt and a service's first start say of themselves, or nothing."""
    environment, order, service = _module("stage_environment"), _module("stage_order"), _module("stage_service")
    environment.fits(order.read_json(_left("python.json", data)), environment.identity())
    _left("first-start", data)
    launch = order.StageOrder("service", "c", ".", "x.py", 60, {"scratch": str(_FOLDER), "checkout": str(_FOLDER)})
    service.PortWatch(launch, "", print).left()
    yield _module("stage_text").clean(_module("install_build")._url_of(data.decode("utf-8", "replace"))) or "-"  # noqa: SLF001


def an_order(arguments: Any) -> Iterable[str]:
    """What is no order ends in one line and the code for what is hopeless; one that is has all of the right types."""
    attempt, order = _module("stage_attempt"), _module("stage_order")
    forms = {"environment": _module("install_attempt").BuildOrder}
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    kind = arguments.get("kind") if isinstance(arguments, dict) else ""
    form = forms.get(kind if isinstance(kind, str) else "", order.StageOrder)
    said: list[str] = []

    class Prepared(Exception):
        """The order was taken."""

    def prepare(found: Any) -> Any:
        assert isinstance(found.paths["logs"], str)
        assert found.limit + found.grace + found.log_cap != ""
        assert all(isinstance(name, str) for name in found.secrets)
        raise Prepared

    before = sys.argv, sys.stderr
    try:
        sys.argv, sys.stderr = ["launch.py", text], _Lines(said)
        attempt.main(form, ("batch", "service", "environment"), ("logs",), prepare)
    except Prepared:
        pass
    except SystemExit as end:
        said.append(str(end.code))
    finally:
        sys.argv, sys.stderr = before
    assert len(said) in (0, 2)
    assert said[1:] in ([], [str(order.HOPELESS)])
    return [line.removesuffix("\n") for line in said]


class _Lines:
    def __init__(self, lines: list[str]) -> None:
        self.write = lines.append


def secrets_of_a_build(variables: Mapping[str, Any]) -> None:
    """Every password of the settings of an index is known, whatever they and the netrc hold."""
    texts = {str(name): str(value) for name, value in variables.items()}
    netrc = _left("netrc", texts.get("netrc", ""))
    found = _module("install_attempt").secret_values({**texts, "NETRC": netrc}, [*texts])
    assert all(isinstance(value, str) for value in found)


_FOLDER = Path(tempfile.mkdtemp(prefix="coachwork-fuzz-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
TARGETS = (
    Target("metrics", some_metrics, 6_000),
    Target("last-words", last_words, 1_000),
    Target("words-of-uv", words_of_uv, 1_500),
    Target("streams", a_stream, 2_000),
    Target("requirements-documents", a_requirements_document, 4_000),
    Target("left-behind", left_behind, 4_000),
    Target("orders", an_order, 8_000),
    Target("build-secrets", secrets_of_a_build, 2_000, typed=True),
)
