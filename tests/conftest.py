"""What holds for all tests.

Hypothesis looks at what comes out, and never at how long it took: quickly (`make test`) or long (`make test-long`).
Nothing of the developer's own reaches a test, except where packages come from and who is trusted.
"""

import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("quick", deadline=None, max_examples=40)
settings.register_profile("long", deadline=None, max_examples=320, print_blob=True)
settings.load_profile("quick")

FOREIGN = re.compile(r"(GIT|PIP|UV|XDG|COACHWORK|GITHUB)_.*|PYTHON.*|VIRTUAL_ENV.*|.*COLOR(_FORCE)?|COLUMNS|LINES")
SOURCES = re.compile(r"(PIP|UV)_(.*INDEX.*|FIND_LINKS|.*CERTS?|.*HOST|HTTP.*|NATIVE_TLS|PROXY)|GIT_SSL_CAINFO")
home = tempfile.TemporaryDirectory(prefix="a home ")
os.environ.setdefault("PYENV_ROOT", str(Path("~/.pyenv").expanduser()))
for name in [name for name in os.environ if FOREIGN.fullmatch(name) and not SOURCES.fullmatch(name)]:
    del os.environ[name]
os.environ |= {"HOME": home.name, "GIT_CONFIG_NOSYSTEM": "1"}
os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{os.environ.get('no_proxy', '')},127.0.0.1,localhost"

for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:  # under nohup, or behind a shell's `&`: commands would inherit it
        signal.signal(number, usual)


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let addresses of this machine be asked through a proxy too: the one that the test names."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name)


@pytest.fixture
def memory() -> Iterator[Path]:
    """Yield an empty folder in memory, where there is such a place: no disk has to be waited for."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 (a folder of its own there)
    with tempfile.TemporaryDirectory(prefix="coachwork-", dir=place) as folder:
        yield Path(folder)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="write the pictures of the page in docs/images anew")


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    home.cleanup()


def pytest_xdist_auto_num_workers() -> int:
    """Return half again as many workers as there are cores: tests wait for processes as much as they compute."""
    return (os.cpu_count() or 1) * 3 // 2
