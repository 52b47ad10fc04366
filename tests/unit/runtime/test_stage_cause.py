"""The last words of scripts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.runtime.stage_cause import Said, explain, read
from controller.runtime.stage_order import ScriptPlaces
from controller.runtime.stage_remedy import FailedScript, find

PLACES = ScriptPlaces("/s/work", "/s/work/project", "/s/work/project/train", "train/train.py", "train/requirements.txt")

CHAINED = """Traceback (most recent call last):
  File "/s/work/project/train/train.py", line 3, in <module>
    1 / 0
ZeroDivisionError: division by zero

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/s/work/project/train/train.py", line 5, in <module>
    lib.call()
  File "/s/work/project/lib.py", line 8, in call
    np.load()
    ~~~~~~~^^
  File "/s/environment/lib/python3.12/site-packages/numpy/x.py", line 99, in load
    raise ValueError("bad file")
ValueError: bad file
"""


@pytest.mark.parametrize(
    ("output", "code", "words"),
    [
        ("", 1, ("", "")),
        ("a\nb\n\n---\n", 2, ("b", "")),
        (CHAINED, 1, ("ValueError: bad file", "lib.py:8")),
        (CHAINED + "cleaning up\n", 1, ("ValueError: bad file", "lib.py:8")),
        (CHAINED + "giving up\n", 3, ("giving up", "")),
        (CHAINED.replace("\n", "\r\n"), 1, ("ValueError: bad file", "lib.py:8")),
        (
            '  File "train.py", line 2\n    if x\n        ^\nSyntaxError: invalid\n',
            1,
            ("SyntaxError: invalid", "train/train.py:2"),
        ),
        ('Traceback:\n  File "/s/work/other/a.py", line 7\nKeyError: 1\n', 1, ("KeyError: 1", "other/a.py:7")),
        (
            (
                'Traceback:\n  File "train.py", line 2, in <module>\n    import pandas\n'
                '  File "pandas/_libs/interval.pyx", line 1, in init pandas._libs.interval\nValueError: size changed\n'
            ),
            1,
            ("ValueError: size changed", "train/train.py:2"),
        ),
        ('Traceback:\n  File "/usr/lib/a.py", line 7\nKeyError: 1\n', 1, ("KeyError: 1", "")),
        ("tick\n" + CHAINED.replace("\n", "\ntick 5\n"), 1, ("ValueError: bad file", "lib.py:8")),
        (CHAINED.replace("\nValueError: bad", "\n1\n1ValueError: bad"), 1, ("ValueError: bad file", "lib.py:8")),
        (
            'Traceback:\n  File "train.py", line 2, in <module>\nImportError: \n\nIMPORTANT: READ THIS\nand that\n',
            1,
            ("ImportError: IMPORTANT: READ THIS and that", "train/train.py:2"),
        ),
        ('  File "cut off", line 7', 1, ('File "cut off", line 7', "")),
    ],
)
def test_last_words(tmp_path: Path, output: str, code: int, words: tuple[str, str]) -> None:
    for name in ("project/lib.py", "project/train/train.py", "other/a.py"):
        tmp_path.joinpath("work", name).parent.mkdir(parents=True, exist_ok=True)
        tmp_path.joinpath("work", name).touch()
    places = ScriptPlaces(*(path.replace("/s/", f"{tmp_path}/") for path in vars(PLACES).values()))
    said = read(output.replace("/s/", f"{tmp_path}/").encode(), places, code)
    assert (said.text, said.place) == words


def test_running_out_of_memory_comes_with_its_remedy() -> None:
    reason, message = explain(-9, Said("epoch 3"), PLACES, out_of_memory=True)
    assert reason == "OutOfMemory"
    assert "MEMORY_LIMIT_MB" in message
    assert message.endswith(": epoch 3")


@pytest.mark.parametrize(
    ("text", "reason", "remedy"),
    [
        (
            "ModuleNotFoundError: No module named 'a.b'",
            "ImportError",
            "if `a` is a file of yours, commit it next to the script; if it is a package, look up its name",
        ),
        (
            "ModuleNotFoundError: No module named 'pkg_resources'",
            "ImportError",
            "add setuptools<81 to train/requirements",
        ),
        (
            "ImportError: cannot import name 'x'",
            "ImportError",
            "name versions that fit each other in train/requirements",
        ),
        (
            "ImportError: libGL.so.1: cannot open shared object file: x",
            "ImportError",
            "the Debian package libgl1; docs",
        ),
        (
            "OSError: libgomp.so.1: cannot open shared object file: x",
            "ImportError",
            "the Debian package libgomp1; docs",
        ),
        (
            "OSError: libown.so: cannot open shared object file: x",
            "ImportError",
            "the Debian package that has it; docs",
        ),
        ("ImportError: libcuda.so.1: cannot open shared object file: x", "ImportError", "ask for one with `GPU = 1`"),
        (
            "ImportError: sklearn needs to be installed in order to use this module",
            "ImportError",
            "add scikit-learn to train/requirements.txt",
        ),
        (
            "lightgbm.basic.LightGBMError: scikit-learn is required for lightgbm.sklearn. You must install it",
            "ImportError",
            "add scikit-learn to train/requirements.txt",
        ),
        (
            "ImportError: Missing optional dependency 'openpyxl'.  Use pip or conda to install openpyxl.",
            "ImportError",
            "add openpyxl to train/requirements.txt",
        ),
        (
            "pytesseract.pytesseract.TesseractNotFoundError: tesseract is not installed or it's not in your PATH. See",
            "ExitCode",
            "the Debian package tesseract-ocr; docs",
        ),
        (
            "pdf2image.exceptions.PDFInfoNotInstalledError: Unable to get page count. Is poppler installed and in PAT",
            "ExitCode",
            "the Debian package poppler-utils; docs",
        ),
        (
            "graphviz.backend.execute.ExecutableNotFound: failed to execute PosixPath('dot'), make sure the Graphviz",
            "ExitCode",
            "the Debian package graphviz; docs",
        ),
        (
            "pyspark.errors.exceptions.base.PySparkRuntimeError: [JAVA_GATEWAY_EXITED] Java gateway process exited",
            "ExitCode",
            "the Debian package default-jre-headless; docs",
        ),
        ("MemoryError", "OutOfMemory", "raise MEMORY_LIMIT_MB"),
        ("numpy.core._exceptions._ArrayMemoryError: Unable to allocate 8 GiB", "OutOfMemory", "raise MEMORY_LIMIT_MB"),
        ("OSError: [Errno 12] Cannot allocate memory", "OutOfMemory", "raise MEMORY_LIMIT_MB"),
        ("OSError: [Errno 28] No space left on device: '/v/artifacts/m'", "DiskFull", "the shared volume is full"),
        ("OSError: [Errno 28] No space left on device: '/v/artifacts2/m'", "DiskFull", "else the pod's disk"),
        ("OSError: [Errno 28] No space left on device: '/s/work/m'", "DiskFull", "the pod's own disk is full"),
        ("OSError: [Errno 28] No space left on device: '/dev/shm/m'", "DiskFull", "it is part of the memory"),
        ("OSError: [Errno 122] Disk quota exceeded", "DiskFull", "COACHWORK_ARTIFACTS or COACHWORK_CACHE"),
        ("sqlite3.OperationalError: database or disk is full", "DiskFull", "the shared volume"),
        ("OSError: [Errno 30] Read-only file system: '/x'", "ExitCode", "write to the stage's own folder"),
        ("OSError: [Errno 98] Address already in use", "ExitCode", "another process of the stage has the port"),
    ],
)
def test_known_last_words_come_with_their_remedy(
    text: str, reason: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COACHWORK_ARTIFACTS", "/v/artifacts")
    said = Said(text, "train/train.py:3")
    found = find(FailedScript(said, PLACES, "/published"))
    _, message = explain(1, said, PLACES, out_of_memory=False, reason=found.reason, remedy=found.text)
    assert (found.reason, found.hopeless) == (reason, False)
    assert message.startswith(f"train/train.py:3: exited with code 1: {text} (")
    assert remedy in message


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (11, "was killed by SIGSEGV (a crash in a native library; `PYTHONFAULTHANDLER = 1` in `[env]` shows where)"),
        (9, "was killed by SIGKILL (not for its memory limit: the node may have run out, or somebody did it)"),
        (15, "was killed by SIGTERM: epoch 3"),
        (64, "was killed by SIGRTMAX"),
    ],
)
def test_a_signal_is_named(number: int, words: str) -> None:
    reason, message = explain(-number, Said("epoch 3"), PLACES, out_of_memory=False)
    assert reason == "Signal"
    assert words in message


@given(st.binary(max_size=400), st.integers(-64, 255))
def test_any_output_gives_words_and_never_fails(output: bytes, code: int) -> None:
    said = read(output, PLACES, code)
    remedy = find(FailedScript(said, PLACES, "/published")).text
    assert explain(code, said, PLACES, out_of_memory=False, remedy=remedy)[1]


@pytest.mark.parametrize("word", ["a", "1", ": ", "a.so", "x is not ", "(", "-", "  + "])
def test_a_line_of_many_thousand_characters_is_judged_at_once(word: str) -> None:
    """The test's own limit of time would end it: some patterns would need the square of the length, or its cube."""
    said = read(
        f'Traceback (most recent call last):\n  File "x", line 1\nImportError: {word * 40_000}'.encode(), PLACES, 1
    )
    assert find(FailedScript(said, PLACES, "/published")).reason == "ImportError"


def test_a_chain_of_a_thousand_exceptions_is_read() -> None:
    one = 'Traceback (most recent call last):\n  File "x", line 1, in f\nKeyError: 1\n'
    link = "\nThe above exception was the direct cause of the following exception:\n\n"
    assert read(link.join([one] * 1000).encode(), PLACES, 1).words == "KeyError: 1"
