"""What Python files say of themselves before they run: whether they compile, and what they import.

The compiler is another process (syntax_child.py) with limits of its own: a text that crashes it, or needs too much, is
one of which nothing is known. Refuses nothing: core/inputs/project/modules.py judges.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from controller.core.model import Module

CHILD = Path(__file__).with_name("syntax_child.py")
SECONDS = 60.0
CHILDREN = 3  # that may be ended by texts; each takes up to SECONDS, and of what is left then nothing is known


def modules(texts: Mapping[str, bytes | None]) -> dict[str, Module]:
    """Return what is known of each of these files: nothing of one whose text is None."""
    found = {name: Module() for name in texts}
    waiting, children = {name: text for name, text in texts.items() if text is not None}, 0
    while waiting and children < CHILDREN:
        children += 1
        answers = dict(_answers(waiting))
        found |= answers
        # A child that ends early has met a text that it could not take: the first without an answer.
        rest = [name for name in waiting if name not in answers]
        waiting = {name: waiting[name] for name in rest[1:]}
    return found


def _answers(texts: Mapping[str, bytes]) -> Iterator[tuple[str, Module]]:
    texts_as_json = json.dumps({name: text.decode("latin-1") for name, text in texts.items()})
    command = [sys.executable, "-I", "-S", str(CHILD)]
    try:
        done = subprocess.run(
            command, input=texts_as_json, capture_output=True, text=True, encoding="utf-8", timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    for line in done.stdout.splitlines():
        try:
            name, said = cast("tuple[str, dict[str, Any]]", json.loads(line))
        except ValueError:  # half a line of a child that was killed
            return
        yield name, Module(**said | {"imports": tuple(said.get("imports", ()))})
