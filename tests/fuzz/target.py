"""A target: what is done to each input, and its part of them. corpus/NAME has its seeds, and words of its grammar."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
READERS: Mapping[str, Callable[[Path], Any]] = {
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".txt": lambda path: path.read_bytes().decode(),
    ".bin": Path.read_bytes,
}


@dataclass(frozen=True)
class Target:
    """`work` takes an input, and returns what is said of it to people, or raises one of our errors."""

    name: str
    work: Callable[[Any], Iterable[str] | None]
    share: int  # how many inputs `make test-long` gives it
    typed: bool = False  # the API server has checked the types of what it gives

    @cached_property
    def seeds(self) -> dict[str, Any]:
        """The inputs of the corpus, by file."""
        paths = sorted((CORPUS / self.name).iterdir())
        return {path.name: READERS[path.suffix](path) for path in paths if path.name != "words"}

    @cached_property
    def words(self) -> Sequence[str]:
        """The words of its grammar, one a line, as in a text of Python."""
        lines = (CORPUS / self.name / "words").read_text(encoding="ascii").splitlines()
        return [line.encode().decode("unicode_escape") for line in lines]
