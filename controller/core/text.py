"""Text that others wrote, made fit for a sentence, a record or a terminal; durations and sizes as people read them.

Every text is taken as hostile. Nothing here raises.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from itertools import islice
from typing import Any, Final

LINE_LIMIT: Final = 500  # characters of a line
MESSAGE_LIMIT: Final = 1024  # bytes of a message in a record or an Event
QUOTE_LIMIT: Final = 60  # characters of a value in a sentence
READ_LIMIT: Final = 64 * 1024  # characters that are read of a text
COMPARED: Final = 1000  # known words that an unknown one is compared with
LISTED: Final = 30  # known words in a remedy
OR_ASK: Final = " (or ask whoever administers the namespace)"  # behind a command that not everybody may give
MINUTE, HOUR, DAY = 60, 3600, 86400

SEQUENCE: Final = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")  # ECMA-48: colours
# Up to the last @, since a password may hold one. An SSH user without a password, as git@, is part of the address.
_CREDENTIALS = re.compile(r"(://)(?!(?<=ssh://)[\w.-]*@)[^/\s'\"]*@")
_DURATION = re.compile(r"(?:([0-9]{1,8})h)?(?:([0-9]{1,8})m)?(?:([0-9]{1,8})s)?")
_QUANTITY = re.compile(
    r"\+?([0-9]{1,20}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})(?:([KMGTPE])i|([numkMGTPE])|[eE]([-+]?[0-9]{1,2}))?"
)
_POWERS: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


# --- clean, quote, shorten, mask --------------------------------------------------------------------


def clean(text: str, limit: int = LINE_LIMIT) -> str:
    """Return `text` as one printable line of at most `limit` characters.

    Colours and credentials in addresses go, white space other than plain spaces becomes one space, and whatever else
    does not print is escaped.
    """
    line = _bounded(text)
    if not line.isprintable():  # most are
        line = re.sub(r"\s+", lambda run: " " if run[0].strip(" ") else run[0], SEQUENCE.sub("", line))
    return shorten(visible(masked(line.strip())[: limit + 1]), limit)


def fit(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return `text` cleaned, in at most `limit` bytes of UTF-8: for what is recorded, or sent to the API server."""
    line = clean(text, limit)
    return line if len(line.encode()) <= limit else line.encode()[: limit - 3].decode(errors="ignore") + "…"


def quoted(value: Any) -> str:
    """Return a value for a sentence: text in quotes, each of its characters visible; other things as in YAML."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return clean(str(value), QUOTE_LIMIT)
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return f'"{shorten(visible(masked(_bounded(str(value)))[: QUOTE_LIMIT + 1]), QUOTE_LIMIT)}"'


def visible(text: str) -> str:
    """Return `text` with everything that does not print escaped, as Python would write it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten(text: str, limit: int) -> str:
    """Return `text`, or its beginning with … for the rest, in at most `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def masked(text: str) -> str:
    """Return `text` without the credentials in its addresses."""
    return _CREDENTIALS.sub(r"\1***@", text)


def invisible(text: str) -> str:
    """Return the sentence for a character that nobody sees, as a zero-width joiner that was copied along; else "".

    Control characters are another matter: a line break shows.
    """
    for at, character in enumerate(text):
        if unicodedata.category(character) == "Cf" or (character != " " and unicodedata.category(character) == "Zs"):
            before = f" after {quoted(text[:at][-QUOTE_LIMIT:])}" if at else " at its start"
            return f"holds the invisible character U+{ord(character):04X}{before}: delete it"
    return ""


def _bounded(text: str) -> str:
    """Return what is read of `text`. The @ behind a cut hides an address whose own @ would have come later."""
    return text if len(text) <= READ_LIMIT else f"{text[:READ_LIMIT]}@"


# --- did you mean -----------------------------------------------------------------------------------


def near(word: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the known words that `word` may be meant for, the nearest first, in whatever case."""
    choices: dict[str, str] = {}
    for choice in islice(known, COMPARED):
        choices.setdefault(choice[:LINE_LIMIT].lower(), choice)
    return [choices[found] for found in difflib.get_close_matches(word[:100].lower(), choices, most, cutoff)]


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the remedy for an unknown word: the nearest known one, else those that there are."""
    names = sorted(known)
    if close := near(word, names):
        return f"did you mean {clean(close[0])}?"
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"choose from {', '.join(map(clean, names[:LISTED]))}{more}" if names else "none exists"


# --- durations and sizes ----------------------------------------------------------------------------


def parse_duration(written: str) -> int | None:
    """Return the seconds of a duration such as 30s, 5m, 2h or 1h30m; None for any other text."""
    parts = _DURATION.fullmatch(written)
    if not written or not parts:
        return None
    return sum(int(part or 0) * unit for part, unit in zip(parts.groups(), (HOUR, MINUTE, 1), strict=True))


def format_duration(seconds: float | None) -> str:
    """Return a duration as a person reads it: `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`; "" for None."""
    if seconds is None:
        return ""
    whole = max(round(seconds), 0)
    for unit, name, below, part in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min"), (MINUTE, "min", 1, "s")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // below} {part}"
    return f"{whole} s"


def parse_quantity(written: str) -> Decimal | None:
    """Return the number of a quantity such as 500m, 64Mi or 1e3 (apimachinery, resource.Quantity); else None."""
    found = _QUANTITY.fullmatch(written)
    if not found:
        return None
    number, binary, decimal, power = found.groups()
    if binary:
        return Decimal(number) * Decimal(1024) ** ("KMGTPE".index(binary) + 1)
    return Decimal(number).scaleb(int(power) if power else _POWERS.get(decimal, 0))


def format_size(count: float) -> str:
    """Return a number of bytes as a person reads it: `12 B`, `1.5 MiB`."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while count >= 1024 and len(units) > 1:  # noqa: PLR2004 - the step of the units
        count, units = count / 1024, units[1:]
    return f"{count:.1f}".removesuffix(".0") + f" {units[0]}"
