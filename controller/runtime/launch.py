"""Runs one stage in its container: `python3 launch.py '<json>'`, as PID 1, not root, with nothing but Python >= 3.8.

A fresh private copy of the checkout, the environment, the claim of an attempt on the volume, the script, its end.
Exit code: the script's own (128+n for signal n), 124 for a batch stage over its time, 121 where it is pointless to
try again. The cause goes to the termination message and next to the log. It refuses incomplete checkouts, and never
lets a full or hanging volume hold up the script.

Python compiles a script at every start, so this one is short: what it does is in stage_launcher.py.
"""

import os
import sys


def bytecode() -> str:
    """Return the folder of what bytecode.py made for this Python, with the tools or the environment, "" for none.

    Official images have the standard library without bytecode, so that each start would compile what it imports:
    nothing is imported before, __future__ included.
    """
    tools = os.path.dirname(os.path.abspath(__file__))
    of_this_python = f"{os.path.dirname(os.__file__)}/threading.{sys.implementation.cache_tag}.pyc"
    for place in (tools, os.path.join(os.path.dirname(tools), "environment")):
        folder = os.path.join(place, "bytecode")
        if os.path.exists(folder + of_this_python):
            return folder
    return ""


if __name__ == "__main__":
    sys.pycache_prefix = bytecode() or sys.pycache_prefix
    __import__("stage_launcher").main()
