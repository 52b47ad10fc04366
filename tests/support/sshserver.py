"""A real SSH server for the repositories of a folder: asyncssh in front of git upload-pack, keys as the test wants."""

import asyncio
import contextlib
import shlex
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from tests.support.gitserver import ENV


def private_text(key: asyncssh.SSHKey) -> str:
    """Return a private key as ssh-keygen writes it."""
    return key.export_private_key("openssh").decode()


def public_text(key: asyncssh.SSHKey) -> str:
    """Return the public half: TYPE and base64, on one line."""
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


async def _pump(source: Any, target: Any) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()


@dataclass
class SshServer:
    """Serves `root` with this host key to those who have a key that is let in; counts the commands."""

    root: Path
    host_key: asyncssh.SSHKey
    client_key: asyncssh.SSHKey
    port: int = 0
    commands: list[str] = field(default_factory=list)

    def url(self, name: str) -> str:
        return f"ssh://git@127.0.0.1:{self.port}/{name}.git"

    @property
    def known_hosts(self) -> str:
        return f"[127.0.0.1]:{self.port} {public_text(self.host_key)}\n"

    async def answer(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.commands.append(process.command or "")
        program, path = shlex.split(process.command or "x x")
        if program != "git-upload-pack" or not (self.root / path.lstrip("/")).is_dir():
            process.stderr.write(b"ERROR: Repository not found.\n")
            process.exit(1)
            return
        git = await asyncio.create_subprocess_exec(
            *("git", "-c", "safe.directory=*", "upload-pack", str(self.root / path.lstrip("/"))),
            env=ENV, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert git.stdin
        assert git.stdout
        asking = asyncio.create_task(_pump(process.stdin, git.stdin))
        await _pump(git.stdout, process.stdout)
        status = await git.wait()
        asking.cancel()
        await asyncio.wait([asking])
        process.exit(status)

    async def serve(self, up: threading.Event, down: asyncio.Event) -> None:
        authorized = asyncssh.import_authorized_keys(public_text(self.client_key))
        async with asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[self.host_key], authorized_client_keys=authorized,
            process_factory=self.answer, encoding=None,
        ) as listener:  # fmt: skip
            self.port = listener.get_port()
            up.set()
            await down.wait()


@contextlib.contextmanager
def serving(server: SshServer) -> Iterator[SshServer]:
    """Serve on a free port of 127.0.0.1."""
    loop, up, down = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve(up, down)))
    thread.start()
    try:
        assert up.wait(30)
        yield server
    finally:
        loop.call_soon_threadsafe(down.set)
        thread.join()
        loop.close()
