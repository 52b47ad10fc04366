"""The command line as a user has it: `coachwork` in a process of its own, with a state folder of its own.

An interpreter that has loaded the modules already is forked for each command: to load them takes longer than most
commands do, and is what `fresh` is for.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from controller.__main__ import main

DEADLINE = 180  # seconds; how long the longest of these may take on a busy machine
LOADED = multiprocessing.get_context("forkserver")
LOADED.set_forkserver_preload(
    ["controller.cli.run", "controller.cli.plan", "controller.cli.deploy", "kubernetes.client", "rich.live"]
)


@dataclass
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def scenes(self) -> list[dict[str, Any]]:
        """Return the lines of `--output json`."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class CommandLine:
    """Runs commands; `home` is where their state is kept."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)
    fresh: bool = False  # as a shell starts it, with all that happens before the first line of ours

    def start(self, *arguments: str, **more: str) -> "Running":
        """Start a command; `more` are further variables."""
        plain = {key: value for key, value in os.environ.items() if not key.startswith(("COACHWORK_", "COV_"))}
        env = {**plain, "COACHWORK_HOME": str(self.home), "COLUMNS": "200", **self.env, **more}
        return Running(_started(arguments, env) if self.fresh else Fork(arguments, env))

    def run(self, *arguments: str, **more: str) -> Ended:
        """Run a command to its end."""
        return self.start(*arguments, **more).end()

    def processes(self) -> list[str]:
        """Return the command lines of all processes that know the state folder (Linux)."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if str(self.home) in command and state != "Z":
                found.append(command)
        return found


def _started(arguments: tuple[str, ...], env: Mapping[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "controller", *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


class Fork:
    """A command in a fork of the loaded interpreter; has of `subprocess.Popen` what is used here."""

    def __init__(self, arguments: tuple[str, ...], env: Mapping[str, str]) -> None:
        out, err = LOADED.Pipe(duplex=False), LOADED.Pipe(duplex=False)
        ours, theirs = zip(out, err, strict=True)
        self._process = LOADED.Process(target=_command, args=(arguments, dict(env), *theirs), daemon=True)
        self._process.start()
        self.stdout, self.stderr = (os.fdopen(os.dup(end.fileno())) for end in ours)
        for end in (*ours, *theirs):
            end.close()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("coachwork", timeout)
        return code

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def _command(arguments: tuple[str, ...], env: dict[str, str], out: Connection, err: Connection) -> None:
    """Be the command: a session, variables and streams of its own."""
    os.setsid()
    os.environ.clear()
    os.environ.update(env)
    for end, number in ((out, 1), (err, 2)):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115 - as at a start
    sys.argv = ["coachwork", *arguments]
    main()


class Running:
    """A command under way; its output is read as it comes."""

    def __init__(self, process: "subprocess.Popen[str] | Fork") -> None:
        self.process = process
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(process.stdout, self.lines), daemon=True),
            threading.Thread(target=self._read, args=(process.stderr, self._errors), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, into: list[str]) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    into.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def line(self, wanted: Callable[[str], bool]) -> str:
        """Wait for a line of the output; return it."""
        return self._found(lambda: self.lines, wanted)

    def either(self, wanted: Callable[[str], bool]) -> str:
        """Wait for a line on either stream; return it."""
        return self._found(lambda: [*self.lines, *self._errors], wanted)

    def error(self, wanted: Callable[[str], bool]) -> str:
        """Wait for a line on standard error; return it."""
        return self._found(lambda: self._errors, wanted)

    def _found(self, lines: Callable[[], list[str]], wanted: Callable[[str], bool]) -> str:
        end = time.monotonic() + DEADLINE
        with self._changed:
            while True:
                for line in lines():
                    if wanted(line):
                        return line
                left = end - time.monotonic()
                assert left > 0, f"no such line in {self.lines}, {self._errors}"
                assert self.process.poll() is None, f"ended without it: {self.lines}, {self._errors}"
                self._changed.wait(min(left, 1))

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> Ended:
        """Wait for the end."""
        try:
            code = self.process.wait(DEADLINE)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
        for reader in self._readers:
            reader.join(10)
        return Ended(code, "\n".join(self.lines), "\n".join(self._errors))


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write a project's files; return its folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
