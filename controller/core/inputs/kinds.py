"""The kinds of values that people write as text: one grammar and one sentence for each, wherever it stands.

A reader takes a text and returns its value, or raises ValueError with the whole sentence.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from controller.core.text import clean, parse_duration, parse_quantity, quoted

PROBLEM_LIMIT = 100  # lines; more help nobody and would not fit the record
IMAGE_LIMIT = 512
DNS_NAME_LIMIT = 253
PROJECT_RULE = "1 to 63 letters, digits, - _ or ., with a letter or digit at both ends"
YEAR = 366 * 24 * 3600

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
_IMAGE = re.compile(
    rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64}|@sha512:[0-9a-f]{128})?"
)
_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_TIMES: Final = {"h": 3600, "m": 60, "s": 1}
_SIZES: Final = {"Pi": 1 << 50, "Ti": 1 << 40, "Gi": 1 << 30, "Mi": 1 << 20, "Ki": 1 << 10, "": 1}


def bounded(lines: Iterable[str], last: str = "and more problems: mend these first") -> tuple[str, ...]:
    """Return each line once, cleaned, PROBLEM_LIMIT at most; if there are more, `last` ends the list."""
    unique = tuple(dict.fromkeys(clean(line) for line in lines))
    return unique if len(unique) <= PROBLEM_LIMIT else (*unique[:PROBLEM_LIMIT], last)


def matching(pattern: str, what: str) -> Callable[[str], str]:
    """Return the reader of a text that matches a pattern as a whole."""
    compiled = re.compile(pattern)

    def read(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"expected {what}, got {quoted(text)}")
        return text

    return read


def without(problem: Callable[[str], str]) -> Callable[[str], str]:
    """Return the reader of a text with which `problem` finds nothing wrong."""

    def read(text: str) -> str:
        if sentence := problem(text):
            raise ValueError(sentence)
        return text

    return read


# --- numbers ----------------------------------------------------------------------------------------


def flag(text: str) -> bool:
    """Return what true or false means, in any case."""
    if text.lower() not in {"true", "false"}:
        raise ValueError(f"expected true or false, got {quoted(text)}")
    return text.lower() == "true"


def choice(*choices: str) -> Callable[[str], str]:
    """Return the reader of one of these, in any case."""

    def read(text: str) -> str:
        for one in choices:
            if text.lower() == one.lower():
                return one
        raise ValueError(f"expected {', '.join(choices[:-1])} or {choices[-1]}, got {quoted(text)}")

    return read


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return the reader of a whole number from `low` to `high`."""
    return _between(low, high, lambda text: int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None, "a whole number")


def duration(low: int, high: int = YEAR) -> Callable[[str], int]:
    """Return the reader of a time, in seconds."""
    return _between(low, high, parse_duration, "a duration like 30s, 5m, 2h or 1h30m", _TIMES)


def size(low: int, high: int) -> Callable[[str], int]:
    """Return the reader of a number of bytes."""

    def parse(text: str) -> int | None:
        found = parse_quantity(text)
        return int(found) if found is not None and found == found.to_integral_value() else None

    return _between(low, high, parse, "a size like 512Ki, 64Mi or 2Gi", _SIZES)


def _between(
    low: int, high: int, parse: Callable[[str], int | None], what: str, units: Mapping[str, int] | None = None
) -> Callable[[str], int]:
    def bound(value: int) -> str:
        unit = next((name for name, factor in (units or {}).items() if value and value % factor == 0), "")
        return f"{value // (units or {}).get(unit, 1)}{unit}"

    def read(text: str) -> int:
        value = parse(text)
        if value is None or not low <= value <= high:
            raise ValueError(f"expected {what} from {bound(low)} to {bound(high)}, got {quoted(text)}")
        return value

    return read


def base64_text(value: object) -> str:
    """Return the text that a Secret holds as base64."""
    try:
        return base64.b64decode(str(value), validate=True).decode()
    except ValueError:
        raise ValueError("is not text in UTF-8: make it again") from None


# --- names ------------------------------------------------------------------------------------------


def is_dns_name(text: str) -> bool:
    """Return whether `text` is a DNS subdomain (RFC 1123), as the names of Secrets are."""
    return len(text) <= DNS_NAME_LIMIT and re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", text) is not None


object_name = matching(
    rf"(?=.{{1,{DNS_NAME_LIMIT}}}\Z){_LABEL}(\.{_LABEL})*", "a name of lower-case letters, digits, - and ."
)
project_name = matching(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", PROJECT_RULE)


def qualified_name(text: str) -> str:
    """Check the name of a label, an annotation or a resource: [prefix/]name."""
    prefix, slash, last = text.rpartition("/")
    good = re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", last)
    if not good or (slash and not is_dns_name(prefix)):
        raise ValueError(f"expected a name like example.com/team, got {quoted(text)}")
    return text


def image_problem(text: str) -> str:
    """Return what is wrong with an image by the grammar of distribution/reference, and one that can be; "": nothing."""
    if is_image(text):
        return ""
    tagged = re.sub(r"\s+(?=[0-9])", ":", text.strip().lower())  # "python 3.12"
    plain = re.sub(r"[^a-z0-9._/:@-]+", "-", tagged)
    instead = f": write {plain}" if plain != text and is_image(plain) else ""
    return f"expected an image like python:3.12-slim, got {quoted(text)}{instead}"


image = without(image_problem)


def is_image(text: str) -> bool:
    """Return whether `text` can be a reference of an image."""
    return len(text) <= IMAGE_LIMIT and _IMAGE.fullmatch(text) is not None
