"""The tutorial as its reader follows it: files are written, commands are typed, and what is shown is compared.

Refuses a page that it does not understand: a file without a name, an output without a command.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.eventually import eventually

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
STAYS = ("coachwork run ", " port-forward ")  # until Ctrl-C
SECONDS = 400  # of one block of commands

_PART = re.compile(
    r"^## (?P<title>[^\n]+)$|^```(?P<kind>\w*)\n(?P<text>.*?)^```$|^(?P<shown>(?: {4}\S[^\n]*\n)+)",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"`([\w./-]+\.(?:ini|py|txt))`")


@dataclass
class Block:
    """Commands, and the output that the page shows for them."""

    commands: str
    shown: str = ""


@dataclass
class Section:
    """What stands below one heading."""

    title: str
    files: dict[str, str] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    yaml: list[str] = field(default_factory=list)


def sections() -> list[Section]:
    """Return the page's sections, in order."""
    text = PAGE.read_text(encoding="utf-8")
    found: list[Section] = []
    for part in _PART.finditer(text):
        if part["title"]:
            found.append(Section(part["title"]))
        elif part["shown"]:
            found[-1].blocks[-1].shown = "\n".join(line[4:] for line in part["shown"].splitlines())
        elif part["kind"] == "sh":
            found[-1].blocks.append(Block(part["text"]))
        elif part["kind"] == "yaml":
            found[-1].yaml.append(part["text"])
        elif name := _FILE.search(text[: part.start()].rstrip().rpartition("\n\n")[2]):
            found[-1].files[name[1]] = part["text"]
        else:
            assert "├──" in part["text"], f"what is this? {part['text']}"
    return found


class Reader:
    """Somebody at a terminal, who remembers folder and variables from one block to the next."""

    def __init__(self, folder: Path, variables: Mapping[str, str], instead: Mapping[str, str]) -> None:
        """`instead`: what this reader writes where the page has something of its author's, like an address."""
        self.folder, self._variables, self.instead = folder, dict(variables), dict(instead)
        self._memory = folder / ".memory"
        self._memory.write_text(f"cd '{folder}'\n", encoding="utf-8")
        self._open: list[tuple[subprocess.Popen[bytes], Path]] = []

    def write(self, files: Mapping[str, str]) -> None:
        """Write files below iris/, as the page says."""
        for name, text in files.items():
            path = self.folder / "iris" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def follow(self, section: Section) -> None:
        """Do what a section says, then end what stays."""
        self.write(section.files)
        try:
            for block in section.blocks:
                self.type(block)
        finally:
            self.close()

    def type(self, block: Block) -> None:
        """Type a block's commands; what the page shows has to be in their output, in its order."""
        if any(word in block.commands for word in STAYS):
            self._stay(block.commands)
            return
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", self._script(block.commands)],
            env=self._environ(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        said = f"{block.commands}exited {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert done.returncode == int(block.shown.startswith("Failed")), said
        assert in_order(block.shown.splitlines(), done.stdout), said

    def _script(self, commands: str) -> str:
        """Return the script: what is remembered, the commands, and a note of what is to be remembered."""
        for old, new in self.instead.items():
            commands = commands.replace(old, new)
        note = f"""trap 'export -p > {self._memory}; printf "cd %q\\n" "$PWD" >> {self._memory}' EXIT"""
        return f". {self._memory}\n{note}\n{commands}"

    def _environ(self) -> dict[str, str]:
        plain = {key: value for key, value in os.environ.items() if not key.startswith(("COACHWORK_", "COV_"))}
        return {**plain, **self._variables}

    def _stay(self, command: str) -> None:
        """Start a command in another terminal, and wait until it says an address."""
        output = self.folder / f".terminal-{len(self._open)}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", self._script(command)],
                env=self._environ(),
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._open.append((process, output))

        def address() -> str:
            text = output.read_text(encoding="utf-8")
            assert process.poll() is None, text
            found = re.search(r"(?:127\.0\.0\.1|localhost):(\d+)", text)
            return found[1] if found else ""

        eventually(lambda: bool(address()), SECONDS)
        self.instead["localhost:5000"] = f"localhost:{address()}"

    def close(self) -> None:
        """Press Ctrl-C in every other terminal."""
        for process, output in self._open:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise AssertionError(f"does not end at Ctrl-C: {output.read_text()}") from None
        self._open.clear()


def in_order(wanted: Sequence[str], text: str) -> bool:
    """Return whether the lines are parts of the text's lines, in this order."""
    lines = iter(text.splitlines())
    return all(any(plain(part) in plain(line) for line in lines) for part in wanted)


def plain(line: str) -> str:
    """Return a line without what differs each time: its white space, and the digits of commits."""
    return re.sub(r"\b[0-9a-f]{7}\b", "COMMIT", " ".join(line.split()))
