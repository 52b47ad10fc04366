"""What of a build's environment must not be shown: the named values, and the passwords inside of them and of .netrc."""

from __future__ import annotations

import netrc
import re
import urllib.parse
from typing import List, Mapping, Sequence

_CHOICE = re.compile(r"(true|false|[0-9]{1,6}|[a-z]+(-[a-z]+)*)$")
_PRIVATE = re.compile(r"_(USERNAME|PASSWORD|TOKEN)$")
_USER = re.compile(r"(?:://|^)([^/\s]+)@")  # a proxy's address may begin with it


def values(environment: Mapping[str, str], names: Sequence[str]) -> List[str]:
    """Give the values of these variables and every password that they or the .netrc of NETRC hold."""
    found = [environment.get(name, "") for name in names if not _is_choice(name, environment.get(name, ""))]
    for text in list(found):
        for user in _USER.findall(text):
            found += _passwords(user)
    return found + _of_netrc(environment.get("NETRC", ""))


def _is_choice(name: str, value: str) -> bool:
    """Tell whether a value is a setting such as `true`, `3` or `first-index`: to blank it would garble the log."""
    return name.upper() == "NO_PROXY" or (not _PRIVATE.search(name) and bool(_CHOICE.match(value)))


def _passwords(user: str) -> List[str]:
    """Give the password of `user:password`, or a token that stands alone, as written and decoded."""
    name, colon, password = user.partition(":")
    secret = password if colon else name
    return [secret, urllib.parse.unquote(secret)]


def _of_netrc(path: str) -> List[str]:
    if not path:
        return []
    try:
        hosts = netrc.netrc(path).hosts.values()
    except (OSError, netrc.NetrcParseError):  # uv will say what is wrong with it
        return []
    return [password for _, _, password in hosts if password]
