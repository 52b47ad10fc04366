"""Small checks of users' strings. Every string is taken as hostile."""

import re
from collections.abc import Iterable

from controller.core.text import clean, quoted

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
    """Return whether `text` is a plausible image reference (the grammar of distribution/reference)."""
    return len(text) <= IMAGE_LIMIT and _IMAGE.fullmatch(text) is not None


def image_problem(text: str) -> str:
    """Return what is wrong with an image's name, and one that can be; "" if nothing is."""
    if is_image(text):
        return ""
    plain = re.sub(r"[^a-z0-9._/:@-]+", "-", text.strip().lower())
    instead = f": write {plain}" if plain != text and is_image(plain) else ""
    return f"expected an image like python:3.12-slim, got {quoted(text)}{instead}"


def is_name(text: str) -> bool:
    """Return whether `text` is a project's name, see NAME_RULE."""
    return re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", text) is not None


def is_dns_name(text: str) -> bool:
    """Return whether `text` is a DNS subdomain (RFC 1123), as the names of Secrets are."""
    label = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
    return len(text) <= DNS_NAME_LIMIT and re.fullmatch(rf"{label}(\.{label})*", text) is not None


def bounded(lines: Iterable[str], last: str) -> tuple[str, ...]:
    """Return each line once, cleaned, PROBLEM_LIMIT at most; if there are more, `last` ends the list."""
    unique = tuple(dict.fromkeys(clean(line) for line in lines))
    return unique if len(unique) <= PROBLEM_LIMIT else (*unique[:PROBLEM_LIMIT], last)
