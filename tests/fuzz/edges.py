"""What arrives at the edge: bytes at both ports, what git and the package index say, an archive of artifacts."""

import asyncio
import atexit
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

from uvicorn.server import ServerState

from controller.adapters.git import GitSettings, commits, faults
from controller.adapters.git.command import Failed, Runner
from controller.adapters.git.mirror import Mirrors
from controller.adapters.git.remote import Remote, pick, place, unknown_ref
from controller.adapters.index import _explained
from controller.adapters.web.listener import Listener
from controller.adapters.web.ports import Site
from controller.adapters.web.server import WebServer
from controller.adapters.web.wake import WakeServer
from controller.cli.artifacts import unpack
from controller.core.errors import Invalid, Transient
from tests.fuzz.target import Target
from tests.support.keptruns import KeptRuns
from tests.support.readers import may_read
from tests.support.shownpage import NAME, Place, retried

_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 (a folder of its own there)
_FOLDER = Path(tempfile.mkdtemp(prefix="coachwork-fuzz-", dir=_MEMORY))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)

# --- the ports ---------------------------------------------------------------------------------------

ANSWERED = 20  # seconds; nothing that is asked here waits
DEFECT = b"failed; the controller's log says why"
_LOOP = asyncio.new_event_loop()
atexit.register(_LOOP.close)
_ADDRESSES = (f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in count())  # so none has asked too often


class _Wire(asyncio.Transport):
    """The other end of a connection: it keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__({"socket": self})
        self.sent, self.closed, self._name = bytearray(), False, (next(_ADDRESSES), 1)

    def getpeername(self) -> tuple[str, int]:
        return self._name

    getsockname = getpeername

    def setsockopt(self, *_: object) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def write(self, data: Any) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0


@cache
def _page() -> Listener:
    """Return the controller's port, with a request and what a run of it has left."""
    kept = KeptRuns(_FOLDER / "volume")
    record, attempts = retried()
    shown = Place(kept)
    shown.put(NAME, record)
    shown.leave(record, attempts)
    kept.log(record.run, "train", 1, b"one\ntwo\n")
    kept.artifact(record.run, "model/a b.json")
    site = Site(shown, kept.archive, "ml", "pod", "1.2.3")
    return WebServer(
        0, site, may_read, metrics=lambda _accept: ("text/plain", b"up 1\n"), healthy=str, ready=lambda: "not yet"
    )


@cache
def _bell() -> Listener:
    return WakeServer(0, NAME.__eq__, lambda _status: None)


def some_bytes(port: Callable[[], Listener], data: bytes) -> Iterable[str]:
    """Whatever comes, in whatever pieces, is answered or closed; no answer is a defect's."""
    listener = port()
    config, state, wire = listener._server.config, ServerState(), _Wire()  # noqa: SLF001 (uvicorn's, without sockets)
    listener._stopping.set()  # noqa: SLF001 (streams end after their first event)
    if not config.loaded:
        config.load()
    made: Callable[..., Any] = config.http_protocol_class
    connection = made(config=config, server_state=state, app_state={}, _loop=_LOOP)
    step = max(len(data) // (len(data) % 3 + 1), 1)

    async def talk() -> None:
        connection.connection_made(wire)
        for at in range(0, len(data), step):
            if not wire.closed:
                connection.data_received(data[at : at + step])
            await answered()
        connection.connection_lost(None)
        await answered()

    async def answered() -> None:
        while state.tasks:
            done, _ = await asyncio.wait(state.tasks, timeout=ANSWERED)
            assert done, "never answered"
            await asyncio.sleep(0)

    _LOOP.run_until_complete(talk())
    assert DEFECT not in wire.sent
    assert not wire.sent or wire.sent.startswith(b"HTTP/1.1 ")
    yield wire.sent[:12].decode("latin-1") or "-"


# --- what others say ---------------------------------------------------------------------------------

URL, COMMIT = "https://git.example/iris", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


class _Words(Runner):
    """A git that says what it is given; without words it fails."""

    words: Mapping[str, str] = {}

    def run(self, arguments: Sequence[str], *_: Any, **__: Any) -> bytes:
        words = _Words.words.get(arguments[0])
        if words is None:
            raise Failed(128, _Words.words.get("stderr", ""))
        return words.encode("utf-8", "surrogatepass")


_MIRRORS = Mirrors(_FOLDER, GitSettings(pause=0), _Words(None), lambda: None)
_MIRRORS.folder(URL).mkdir(parents=True)


def words_of_git(words: Mapping[str, Any]) -> Iterable[str]:
    """What git prints of a repository is refs, files, submodules and a day, or a failure that says which."""
    _Words.words = {str(key): str(value) for key, value in words.items()}
    steps: tuple[Callable[[], Iterable[str]], ...] = (_refs, _files, _day)
    for step in steps:
        try:
            yield from step()
        except Failed as failed:
            faults.is_stopped(failed.status, failed.stderr)
            yield str(faults.error(place(URL), failed.stderr))
        except (Invalid, Transient) as error:
            yield str(error)


def _refs() -> Iterable[str]:
    refs = _MIRRORS.advertised(Remote(URL))
    for ref in ("HEAD", "main", "v1.0"):
        pick(refs.commits, ref)
        yield from unknown_ref(URL, refs, ref).lines


def _files() -> Iterable[str]:
    listed = commits.entries(_MIRRORS, URL, COMMIT)
    for module in commits.submodules(_MIRRORS, URL, COMMIT, listed):
        with suppress(Invalid):
            commits.check(module, Remote(URL), allow_file=False)
    return ()


def _day() -> Iterable[str]:
    yield commits.last_change(_MIRRORS, URL, COMMIT, ".", ("r.txt",), lambda texts: tuple(texts.items())) or "-"


def an_index_answer(text: str) -> Iterable[str]:
    """What uv says of an index is one remark about a day."""
    found = _explained("2021-03-05", text)
    yield found.remark.strip() or found.day


# --- archives ----------------------------------------------------------------------------------------

BLOCK, MAGIC, SUM = 512, slice(257, 262), slice(148, 156)


def an_archive(data: bytes) -> Iterable[str]:
    """An archive is plain files below the folder that it is unpacked into, or broken."""
    blocks = bytearray(data)
    for at in range(0, len(blocks) - BLOCK + 1, BLOCK):  # else most would be refused for their sum alone
        head = blocks[at : at + BLOCK]
        if head[MAGIC] == b"ustar":
            head[SUM] = b" " * 8
            blocks[at : at + BLOCK] = head[: SUM.start] + f"{sum(head):06o}\0 ".encode() + head[SUM.stop :]
    with tempfile.TemporaryDirectory(dir=_FOLDER) as top:
        folder = Path(top, "to")
        folder.mkdir()
        (folder / "out").symlink_to(top)
        try:
            unpack(io.BytesIO(bytes(blocks)), folder)
        except tarfile.TarError as error:
            return [str(error)]
        except OSError as error:
            return [str(error.strerror)]
        finally:
            assert [path.name for path in Path(top).iterdir()] == ["to"]
    return ()


TARGETS = (
    Target("connections", partial(some_bytes, _page), 5_000),
    Target("wakes", partial(some_bytes, _bell), 2_000),
    Target("words-of-git", words_of_git, 3_000),
    Target("index-answers", an_index_answer, 1_000),
    Target("archives", an_archive, 2_000),
)
