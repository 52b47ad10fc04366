"""Requirements that name a part of Python, or Python itself: no package does what is meant, and a stranger's may."""

import re
import sys

from controller.core.inputs.requirements.line import NAMED

_BACKPORTS = {  # packages of these names that bring a later Python's module to an earlier one
    *("argparse", "configparser", "contextvars", "dataclasses", "ipaddress", "statistics", "typing", "zoneinfo")
}


def remark(text: str) -> str:
    """Return what is to be said of a requirement in normal form, "" for nothing."""
    named = NAMED.fullmatch(text)
    name = named["name"] if named and not named["marker"] else ""
    if re.fullmatch(r"python-?[0-9.-]*", name):
        return f"`{name}` is Python itself, and no package: remove the line; PYTHON chooses the version"
    if name.replace("-", "_") in sys.stdlib_module_names and name not in _BACKPORTS:
        return f"`{name}` is a part of Python itself, and no package: remove the line"
    return ""
