"""Runs one stage in its container: `python3 launch.py '<json>'`, as PID 1, not root, with nothing but Python >= 3.8.

A fresh private copy of the checkout, the environment, the claim of an attempt on the volume, the script, its end.
Exit code: the script's own (128+n for signal n), 124 for a batch stage over its time, 121 where it is pointless to
try again. The cause goes to the termination message and next to the log. It refuses incomplete checkouts, and never
lets a full or hanging volume hold up the script.

Python compiles a script at every start, so this one is short: what it does is in stage_launcher.py.
"""

from __future__ import annotations

import os
import sys


def bytecode() -> str | None:
    """Return the folder of the bytecode that bytecode.py made for this Python, None where it made none.

    Official images have the standard library without any, so each start would compile it.
    """
    folder = os.path.join(sys.path[0], "bytecode")
    library = os.path.dirname(os.__file__)
    one = os.path.join(folder + library, f"threading.{sys.implementation.cache_tag}.pyc")
    return folder if os.path.exists(one) else sys.pycache_prefix


if __name__ == "__main__":
    sys.pycache_prefix = bytecode()
    __import__("stage_launcher").main()  # only now
