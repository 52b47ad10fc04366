"""Blanks the values of secrets in what is said, in the forms that scripts give them by accident, also across writes.

The forms are those of `forms`; of a value with several lines also each line as it is, and of an address its password. A
stream is held back only while its end could be the beginning of one, so by less than the longest; its caller flushes
when the stream pauses or ends. A value that is written in two parts with such a pause between them is not found, nor is
one in another form. Values of fewer than 4 characters stay: to blank them would only garble.
"""

from __future__ import annotations

import binascii
import json
import os
import re

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import Iterable, Iterator, List, Set, Tuple

SHORTEST = 4  # characters of a value
SHORTEST_LINE, MOST_LINES = 8, 100  # characters of a line of a value, and lines that are looked for
LONGEST = 2048  # bytes that are compared in one: each place where a form could begin costs that much
MASK = b"***"
_PASSWORD = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")  # RFC 3986, 2.3


class Redactor:
    """Replaces every form of the values by `***`, and counts how often."""

    def __init__(self, values: Iterable[str]) -> None:
        """Blank these values, also as they are without the white space around them that files leave there."""
        known = list(values)
        texts = {text for value in known for text in _texts(value) if len(text) >= SHORTEST}
        every = {form for text in texts for form in forms(os.fsencode(text))}
        every.update(os.fsencode(line) for value in known for line in _lines(value))
        self.count = 0
        self._forms = sorted({piece for form in every for piece in _pieces(form)}, key=len, reverse=True)
        self._held = b""
        self._masked = 0  # bytes at the beginning of what is held that have been replaced already

    def text(self, text: str) -> str:
        """Return a whole text without the values; the stream is not touched."""
        if not self._forms:
            return text
        data = text.encode("utf-8", "surrogateescape")
        shown, _, _ = self._replace(data, 0, len(data))
        return shown.decode("utf-8", "surrogateescape")

    def feed(self, chunk: bytes) -> bytes:
        """Add a part of the stream; return what comes before anything that could be the beginning of a form."""
        if not self._forms:
            return chunk
        data = self._held + chunk
        end = len(data)
        for form in self._forms:
            at = data.find(form[:1], max(0, len(data) - len(form) + 1))
            while 0 <= at < end:
                if form.startswith(data[at:]):
                    end = at
                at = data.find(form[:1], at + 1)
        passed, self._held, self._masked = self._replace(data, self._masked, end)
        return passed

    def flush(self) -> bytes:
        """Return what is held back: the stream pauses or has ended."""
        passed, self._held, self._masked = self._replace(self._held, self._masked, len(self._held))
        return passed

    def _replace(self, data: bytes, masked: int, end: int) -> Tuple[bytes, bytes, int]:
        """Return what to pass on of the data before `end`, the rest, and how much of the rest has been replaced."""
        passed, at = [], masked
        for start, stop in self._found(data):
            if start < masked:  # goes on with what was replaced before
                at = max(at, stop)
            elif start < end:
                passed += [data[at:start], MASK]
                at = stop
                self.count += 1
        passed.append(data[at:end])
        return b"".join(passed), data[end:], max(0, at - end)

    def _found(self, data: bytes) -> List[Tuple[int, int]]:
        """Return where forms stand, in order; those that overlap are one."""
        found = []
        for form in self._forms:
            at = data.find(form)
            while at >= 0:
                found.append((at, at + len(form)))
                at = data.find(form, at + 1)
        merged: List[Tuple[int, int]] = []
        for start, stop in sorted(found):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            else:
                merged.append((start, stop))
        return merged


def _texts(value: str) -> Iterator[str]:
    """Yield a value, as it is without white space around it, and a password in it as it stands and as it is meant."""
    yield value
    yield value.strip()
    for password in _PASSWORD.findall(value):
        yield password
        yield os.fsdecode(re.sub(rb"%([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), os.fsencode(password)))


def _pieces(form: bytes) -> Iterator[bytes]:
    """Yield a form, a long one in pieces of equal length, each of which is blanked by itself."""
    count = -(-len(form) // LONGEST)
    for number in range(count):
        yield form[number * len(form) // count : (number + 1) * len(form) // count]


def _lines(value: str) -> List[str]:
    """Return the lines of a value of several, such as a key's: a script may print them one by one."""
    lines = [line.strip() for line in value.strip().splitlines()]
    return [line for line in lines[:MOST_LINES] if len(line) >= SHORTEST_LINE] if len(lines) > 1 else []


def forms(value: bytes) -> Set[bytes]:
    """Return how a value may be written.

    Raw; as Python (`repr`, which is in tracebacks) and JSON show it; URL-encoded; in hexadecimal digits; in base64,
    alone or inside of something longer.
    """
    found = {value, _percent(value, b""), _percent(value, b"/"), _percent(value, b"").replace(b"%20", b"+")}
    found |= {re.sub(rb"%[^%]{0,2}", lambda escape: escape[0].lower(), form) for form in list(found)}
    encoded = {binascii.b2a_base64(value, newline=False)}
    for before in range(3):  # bytes in front of it, modulo three
        text = binascii.b2a_base64(b"\0" * before + value, newline=False)
        encoded.add(text[-(-before * 8 // 6) : (before + len(value)) * 8 // 6])
    plain = value.decode("utf-8", "surrogateescape")
    shown = (
        repr(plain)[1:-1],
        ascii(plain)[1:-1],
        *(json.dumps(plain, ensure_ascii=each)[1:-1] for each in (True, False)),
    )
    found.update(each.encode("utf-8", "surrogateescape") for each in shown)
    found.update((repr(value)[2:-1].encode(), binascii.hexlify(value), binascii.hexlify(value).upper()))
    return found | encoded | {form.replace(b"+", b"-").replace(b"/", b"_") for form in encoded}


def _percent(value: bytes, safe: bytes) -> bytes:
    return b"".join(bytes([c]) if c in _UNRESERVED or c in safe else b"%%%02X" % c for c in value)
