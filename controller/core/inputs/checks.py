"""Small checks of users' strings, and how such a string is shown in a sentence. Every string is taken as hostile."""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

SHOWN_LIMIT = 60  # characters of a user's value in a sentence
LINE_LIMIT = 500  # characters of one problem line
PROBLEM_LIMIT = 100  # lines; more help nobody and would not fit the record
IMAGE_LIMIT = 512
DNS_NAME_LIMIT = 253

NAME_RULE = "1 to 63 letters, digits, - _ or ., with a letter or digit at both ends"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
_IMAGE = re.compile(
    rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


def is_image(text: str) -> bool:
    """Tell whether `text` is a plausible image reference (the grammar of distribution/reference)."""
    return len(text) <= IMAGE_LIMIT and _IMAGE.fullmatch(text) is not None


def image_problem(text: str) -> str:
    """Return what is wrong with an image's name, and one that can be; "" if nothing is."""
    if is_image(text):
        return ""
    plain = re.sub(r"[^a-z0-9._/:@-]+", "-", text.strip().lower())
    instead = f": write {plain}" if plain != text and is_image(plain) else ""
    return f"expected an image like python:3.12-slim, got {shown(text)}{instead}"


def invisible(text: str) -> str:
    """Return the sentence for a character that nobody sees, as a zero-width joiner that was copied along; "" if none.

    Control characters are another matter: a line break shows.
    """
    for at, character in enumerate(text):
        if unicodedata.category(character) == "Cf" or (character != " " and unicodedata.category(character) == "Zs"):
            before = f" after {shown(text[:at][-SHOWN_LIMIT:])}" if at else " at its start"
            return f"holds the invisible character U+{ord(character):04X}{before}: delete it"
    return ""


def is_name(text: str) -> bool:
    """Tell whether `text` is a project's name, see NAME_RULE."""
    return re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", text) is not None


def is_dns_name(text: str) -> bool:
    """Tell whether `text` is a DNS subdomain (RFC 1123), as the names of Secrets are."""
    label = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
    return len(text) <= DNS_NAME_LIMIT and re.fullmatch(rf"{label}(\.{label})*", text) is not None


def printable(text: str, limit: int = LINE_LIMIT) -> str:
    """Give `text` on one line of at most `limit` characters, with everything that does not print escaped."""
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: limit + 1])
    return escaped if len(escaped) <= limit else escaped[: limit - 1] + "…"


def shown(value: Any) -> str:
    """Give a user's value as a sentence shows it: text in quotes, cut; other things as YAML would write them."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return printable(str(value), SHOWN_LIMIT)
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return f'"{printable(str(value), SHOWN_LIMIT)}"'


def nearest(word: str, known: Iterable[str]) -> str:
    """Give a remedy for an unknown word: the nearest known one, else all of them."""
    choices = sorted(known)
    close = difflib.get_close_matches(word[:SHOWN_LIMIT].lower(), [choice.lower() for choice in choices], n=1)
    for choice in choices:
        if close and choice.lower() == close[0]:
            return f"did you mean {choice}?"
    return f"known are {', '.join(choices)}"


def bounded(lines: Iterable[str], last: str) -> tuple[str, ...]:
    """Give each line once, printable, PROBLEM_LIMIT at most; if there are more, `last` ends the list."""
    unique = tuple(dict.fromkeys(printable(line) for line in lines))
    return unique if len(unique) <= PROBLEM_LIMIT else (*unique[:PROBLEM_LIMIT], last)
