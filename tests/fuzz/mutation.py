"""A value of the corpus -> another one, a few steps away: text, bytes, or mappings and lists of them.

Whoever mutates knows the grammar by its words: those of a target, and the pieces of its other seeds.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

HOSTILE = (
    "\0", "\x1b[31m", "\x1b]0;t\x07", "\u202e", "\ufeff", "\u2028", "\x85", "\r", "\r\n", "\n", "\n\n", "\t", "\ud800",
    "\U0001f4a5", "e\u0301", "\u0660", "\u00b2", "\uff10", "\u00a0", "\u200d", "..", "../..", "/etc/passwd", "//", "\\",
    "\\\n", "{}", "[]", "{", "}", "[", "]", "(", ")", "<", ">", "'", '"', '"""', "`", "$(id)", "${HOME}", "%s", "%00",
    "%2e%2e", "%", "&a ", "*a", "!!python/name:os.system ", "!x ", "<<: *a", "? ", "- ", ": ", ":", "=", "==", ">=",
    "#", " #", ";", ",", ",,", "@", "|", ">>", "-", "--", "- -", "+", "null", "true", "~", "NaN", "Infinity", "1e999",
    "-1", "0", "00", "0x10", "1_000", "2147483648", "9223372036854775808", "9" * 400, "1.5", ".5", "1e-400", " ", "  ",
    "https://u:p@h/x", "file:///etc", "git+ssh://git@h/r@v#subdirectory=../x", "http://[::1", "\U000e0001", "\x7f",
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-W01-1", "Z", "constructor", "__proto__", "\udcff",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 100, 2**31 - 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e308, 1e-320)
STRANGE: tuple[Any, ...] = (None, True, False, "", [], {}, [[]], {"": None}, float("nan"), float("inf"), *NUMBERS)
LARGE = 1 << 20  # characters that a text may be blown up to


class Mutator:
    """Draws from `draw`; `words` are the target's, `pool` its other seeds. `typed`: no value changes its type."""

    def __init__(self, draw: Random, words: Sequence[str], pool: Sequence[Any], *, typed: bool = False) -> None:
        self.draw, self.typed = draw, typed
        self.words = (*words, *HOSTILE)
        self.texts = [text for seed in pool for text in texts_in(seed)] or [""]
        self.keys = sorted({key for seed in pool for key in keys_in(seed)}) or [""]
        self.pool = pool

    def mutated(self, value: Any) -> Any:
        """Return another value."""
        for _ in range(self.draw.choice((1, 1, 1, 2, 2, 3, 4, 8))):
            value = self._at_some_place(value)
        return value

    def _at_some_place(self, value: Any) -> Any:
        """Return the value with one of its parts changed, each as likely as it is large."""
        places = list(places_in(value))
        weights = [1 + min(len(place), 40) if isinstance(place, str | bytes) else 1 for _, place in places]
        path, part = self.draw.choices(places, weights)[0]
        return replaced(value, path, self._other(part, typed=self.typed or not path))

    def _other(self, part: Any, *, typed: bool) -> Any:  # noqa: PLR0911 (a table)
        if not typed and self.draw.random() < 0.08:
            return self.draw.choice((*STRANGE, self.draw.choice(self.texts)))
        match part:
            case str():
                return self.text(part)
            case bytes():
                return self.octets(part)
            case dict():
                return self._mapping(part)
            case list():
                return self._list(part)
            case bool() if not self.typed:
                return self.draw.choice((not part, "true", 1))
            case bool():
                return not part
            case int():
                whole = [number for number in NUMBERS if isinstance(number, int) and number <= 2**63]
                return self.draw.choice([*(whole if self.typed else NUMBERS), part + 1, part - 1, -part])
            case float():
                return self.draw.choice(NUMBERS)
            case _:
                return part if self.typed else self.draw.choice(STRANGE)

    def _mapping(self, part: Mapping[str, Any]) -> dict[str, Any]:
        items, draw = list(part.items()), self.draw
        texts = not self.typed or (bool(items) and all(isinstance(value, str) for _, value in items))
        match draw.randrange(5):
            case 0 if items:
                items.pop(draw.randrange(len(items)))
            case 1 if items and texts:
                at = draw.randrange(len(items))
                items[at] = (self.text(str(items[at][0])), items[at][1])
            case 2 if items and texts:
                items.append((draw.choice(self.keys), draw.choice(items)[1]))
            case 3 if texts:
                items.append((draw.choice(self.keys), draw.choice(self.texts)))
            case _:
                draw.shuffle(items)
        return dict(items)

    def _list(self, part: Sequence[Any]) -> list[Any]:
        items, draw = list(part), self.draw
        match draw.randrange(5):
            case 0 if items:
                items.pop(draw.randrange(len(items)))
            case 1 if items:
                items.insert(draw.randrange(len(items)), draw.choice(items))
            case 2 if items and draw.random() < 0.1:
                items *= draw.choice((10, 200))
            case 3 if not self.typed or (items and isinstance(items[0], str)):
                items.append(draw.choice(self.texts))
            case _:
                draw.shuffle(items)
        return items

    def text(self, text: str) -> str:
        """Return another text."""
        draw = self.draw
        start = draw.randint(0, len(text))
        end = min(len(text), start + draw.choice((0, 1, 1, 2, 5, 20, 80)))
        ways: tuple[Callable[[], str], ...] = (
            lambda: text[:start] + draw.choice(self.words) + text[end:],
            lambda: text[:start] + draw.choice(self.words) + text[start:],
            lambda: text[:start] + text[end:],
            lambda: text[:start] + text[start:end] * 2 + text[end:],
            lambda: text[:start] + self._piece() + text[end:],
            lambda: self._lines(text),
            lambda: self._number(text),
            lambda: text[:start],
            lambda: text[:start] + text[start:].swapcase(),
            lambda: text[:start] + chr(draw.choice((draw.randrange(128), draw.randrange(0x3000)))) + text[end:],
            lambda: draw.choice(self.words),
            lambda: draw.choice(self.texts),
            lambda: self._blown_up(text, start, end) if draw.random() < 0.15 else text[start:] + text[:start],
        )
        other = draw.choice(ways)()
        return other.encode("utf-8", "replace").decode() if self.typed else other  # as what encodes it for the API

    def _piece(self) -> str:
        other = self.draw.choice(self.texts)
        start = self.draw.randint(0, len(other))
        return other[start : start + self.draw.choice((3, 10, 40, 200))]

    def _lines(self, text: str) -> str:
        lines = text.splitlines(keepends=True)
        if len(lines) > 1:
            one, other = self.draw.randrange(len(lines)), self.draw.randrange(len(lines))
            lines[one], lines[other] = self.draw.choice(
                ((lines[other], lines[one]), (lines[one], lines[one]), ("", ""))
            )
        return "".join(lines)

    def _number(self, text: str) -> str:
        found = list(re.finditer(r"[0-9]+", text))
        if not found:
            return f"{text}{self.draw.choice(NUMBERS)!s:.400}" if self.draw.random() < 0.2 else text[::-1]
        one = self.draw.choice(found)
        return (
            text[: one.start()] + str(self.draw.choice((0, 1, -1, 99, 2**31, 2**64, "1e9", "010"))) + text[one.end() :]
        )

    def _blown_up(self, text: str, start: int, end: int) -> str:
        """Return the text with a piece so often that whatever takes the square of it shows."""
        piece = text[start:end] or self.draw.choice(self.words)
        size = self.draw.choice((2_000, 2_000, 20_000, 20_000, LARGE // 8, LARGE))
        return text[:start] + piece * (size // len(piece)) + text[end:]

    def octets(self, data: bytes) -> bytes:
        """Return other bytes: as a text of which not all is UTF-8, or with some of them changed."""
        if self.draw.random() < 0.7:
            return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogatepass")
        at = self.draw.randint(0, len(data))
        return data[:at] + self.draw.randbytes(self.draw.choice((1, 1, 2, 8))) + data[at + self.draw.randint(0, 3) :]


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Any:
    """Yield the way to each part of a value, and the part."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places_in(item, (*path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from places_in(item, (*path, at))


def replaced(value: Any, path: tuple[Any, ...], part: Any) -> Any:
    """Return a value with another part at the end of this way."""
    if not path:
        return part
    if isinstance(value, dict):
        return {**value, path[0]: replaced(value[path[0]], path[1:], part)}
    return [replaced(item, path[1:], part) if at == path[0] else item for at, item in enumerate(value)]


def texts_in(value: Any) -> list[str]:
    """Return all texts of a value."""
    found = [part for _, part in places_in(value) if isinstance(part, str | bytes)]
    return [part if isinstance(part, str) else part.decode("utf-8", "replace") for part in found]


def keys_in(value: Any) -> list[str]:
    """Return all keys of a value."""
    return [key for _, part in places_in(value) if isinstance(part, dict) for key in part]
