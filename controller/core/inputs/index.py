"""The settings of package indexes that a request's `index-secret` holds: which keys count, and what tells them apart.

UV_* keys are variables of uv (https://docs.astral.sh/uv/reference/environment/), `netrc` and `ca.crt` are files, and
HTTP_PROXY and its like, in upper or lower case, are what most programs know them for.
Refuses every other key, so that a misspelt one is told. No value ever leaves this module, except in a digest.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.core import names
from controller.core.errors import Invalid
from controller.core.model import Object
from controller.core.text import QUOTE_LIMIT, clean

FILES: Mapping[str, str] = {"netrc": "NETRC", "ca.crt": "SSL_CERT_FILE"}
"""Keys that become files, and the variable that tells uv of each."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_VARIABLE = re.compile(r"UV_[A-Z0-9_]{1,100}|(?:HTTPS?|ALL|NO)_PROXY|(?:https?|all|no)_proxy")
_SECRET = re.compile(r"_(USERNAME|PASSWORD|TOKEN)$")


@dataclass(frozen=True, slots=True)
class Index:
    """The keys that count, and a digest of what decides on the packages: addresses, not passwords."""

    keys: tuple[str, ...] = ()
    digest: str = ""


def settings(secret: Object | None, name: str) -> Index:
    """Give what the Secret `name` says. Raises Invalid with all its problems."""
    if secret is None:
        line = (
            f"index-secret: Secret {name} is not there: kubectl create secret generic {name} --from-literal=UV_INDEX=…"
        )
        raise Invalid("SecretMissing", [line])
    data = secret.get("data") or {}
    problems = [_unknown(name, key) for key in sorted(data) if key not in FILES and not _VARIABLE.fullmatch(key)]
    values: dict[str, str] = {}
    for key in sorted(data):
        try:
            values[key] = base64.b64decode(data[key], validate=True).decode()
        except (binascii.Error, ValueError, TypeError):
            problems.append(f"index-secret: Secret {name}: key {_shown(key)} is no text: write it anew")
    if not data:
        problems.append(f"index-secret: Secret {name} is empty: give UV_INDEX, netrc or ca.crt")
    if problems:
        raise Invalid("SecretUnusable", problems)
    told = [f"{key}={_public(value)}" for key, value in values.items() if key not in FILES and not _SECRET.search(key)]
    return Index(tuple(sorted(values)), names.digest("\n".join(told), 20))


def variables(keys: Iterable[str]) -> Mapping[str, str]:
    """Return the variables of a build by name, with the key that each comes from.

    Some programs know proxies in upper case, some in lower: without both an image's own would count for one half.
    """
    own = {key: key for key in keys if key not in FILES}
    other = {key.swapcase(): key for key in own if key.upper() in PROXIES}
    return {**other, **own}


def _unknown(name: str, key: str) -> str:
    known = "UV_* variables, HTTPS_PROXY and its like, netrc and ca.crt do"
    return f"index-secret: Secret {name}: key {_shown(key)} means nothing: {known}"


def _shown(key: str) -> str:
    return clean(key, QUOTE_LIMIT)


def _public(value: str) -> str:
    """Give an address without its name and password: another password is no other index."""
    return re.sub(r"(://)[^/@\s]*@", r"\1", value)
