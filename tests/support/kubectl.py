"""`kubectl` for end-to-end tests: one call, a watch with a deadline, waiting for a condition. KUBECONFIG says where.

Refuses to wait without a limit, and to hide what kubectl said when it fails.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, TypeVar

Object = dict[str, Any]
T = TypeVar("T")

CALL_SECONDS = 120
PAUSE = 0.5  # seconds between two looks at what can't be watched


class Failed(AssertionError):
    """A call of kubectl that did not succeed; its text is what kubectl said."""


def kubectl(*arguments: str, text: str = "", seconds: float = CALL_SECONDS) -> str:
    """Return what a call printed. Raises Failed with its complaint."""
    done = subprocess.run(
        ["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode:
        raise Failed(f"kubectl {' '.join(arguments)} exited {done.returncode}: {done.stderr.strip()}{done.stdout}")
    return done.stdout


def listed(namespace: str, kinds: str, selector: str) -> list[Object]:
    """Return the objects of these kinds (separated by commas) that a label selector takes."""
    found = json.loads(kubectl("-n", namespace, "get", kinds, "-l", selector, "-o", "json"))
    return list(found["items"])


def eventually(look: Callable[[], T], what: str, *, seconds: float = 120) -> T:
    """Look until that returns something true, and return it. A look that fails counts as nothing seen.

    Raises AssertionError, with `what` was waited for and the last failure, after so many seconds.
    """
    deadline, last, pause = time.monotonic() + seconds, "", threading.Event()
    while True:
        try:
            if seen := look():
                return seen
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            last = f"; the last look failed: {error}"
        assert time.monotonic() < deadline, f"no {what} within {seconds:g} s{last}"
        pause.wait(PAUSE)


def watched(namespace: str, kind: str, name: str, *, seconds: float) -> Iterator[Object | None]:
    """Yield the object as it is, then at each change, None once it is deleted; ends after so many seconds."""
    command = ["kubectl", "-n", namespace, "get", kind, f"--field-selector=metadata.name={name}"]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with closing(stream([*command, "--watch", "--output-watch-events", "-o", "json"], deadline)) as changes:
            for change in changes:
                yield None if change["type"] == "DELETED" else change["object"]


def stream(command: list[str], deadline: float) -> Generator[Object]:
    """Yield the JSON documents that a command prints, one after the other, until it ends or the deadline passes."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        timer = threading.Timer(max(deadline - time.monotonic(), 0.0), process.kill)
        timer.start()
        try:
            assert process.stdout
            yield from _documents(process.stdout.fileno())
        finally:
            timer.cancel()
            process.kill()


def _documents(descriptor: int) -> Iterator[Object]:
    decoder, waiting = json.JSONDecoder(), b""
    while chunk := os.read(descriptor, 1 << 16):
        waiting += chunk
        text = waiting.decode(errors="surrogateescape").lstrip()
        while text:
            try:
                document, end = decoder.raw_decode(text)
            except ValueError:
                break
            yield document
            text = text[end:].lstrip()
        waiting = text.encode(errors="surrogateescape")
