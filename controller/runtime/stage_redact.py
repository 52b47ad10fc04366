"""Blanks the values of secrets in what is said: as they are, in base64 and URL-encoded, also across writes.

A stream is held back only while its end could be the beginning of such a value, so by less than the longest form of
one; its caller flushes when the stream pauses or ends. A value that is written in two parts with such a pause
between them is not found, nor is one in an encoding that is not named here. Values of fewer than 4 characters stay:
to blank them would only garble.
"""

from __future__ import annotations

import binascii
import os
import re

TYPE_CHECKING = False  # of typing: stage_order.py says why
if TYPE_CHECKING:
    from typing import Iterable, List, Set, Tuple

SHORTEST = 4  # characters of a value
MASK = b"***"
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")  # RFC 3986, 2.3


class Redactor:
    """Replaces every form of the values by `***`, and counts how often."""

    def __init__(self, values: Iterable[str]) -> None:
        """Blank these values, also as they are without the white space around them that files leave there."""
        texts = {text for value in values for text in (value, value.strip()) if len(text) >= SHORTEST}
        self.count = 0
        self._forms = sorted({form for text in texts for form in forms(os.fsencode(text))}, key=len, reverse=True)
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


def forms(value: bytes) -> Set[bytes]:
    """Return how a value may be written: raw, URL-encoded, and in base64, alone or inside of something longer."""
    found = {value, _percent(value, b""), _percent(value, b"/"), _percent(value, b"").replace(b"%20", b"+")}
    found |= {re.sub(rb"%[^%]{0,2}", lambda escape: escape[0].lower(), form) for form in list(found)}
    encoded = {binascii.b2a_base64(value, newline=False)}
    for before in range(3):  # bytes in front of it, modulo three
        text = binascii.b2a_base64(b"\0" * before + value, newline=False)
        encoded.add(text[-(-before * 8 // 6) : (before + len(value)) * 8 // 6])
    return found | encoded | {form.replace(b"+", b"-").replace(b"/", b"_") for form in encoded}


def _percent(value: bytes, safe: bytes) -> bytes:
    return b"".join(bytes([c]) if c in _UNRESERVED or c in safe else b"%%%02X" % c for c in value)
