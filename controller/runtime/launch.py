"""Runs one stage in its container: `python3 launch.py '<json>'`, as PID 1, not root, with nothing but Python >= 3.8.

A fresh private copy of the checkout, the environment, the claim of an attempt on the volume, the script, its end.
Exit code: the script's own (128+n for signal n), 124 for a batch stage over its time, 121 where it is pointless to
try again. The cause goes to the termination message and next to the log. It refuses incomplete checkouts, and never
lets a full or hanging volume hold up the script.

Python compiles a script at every start, so this one is short: what it does is in stage_launcher.py.
"""

import os
import sys

# Official images have the standard library without bytecode, so each start would compile what it imports. Found here is
# what bytecode.py made, if it was made for this Python; nothing is imported before.
_bytecode = os.path.join(sys.path[0], "bytecode")
_one = f"{_bytecode}{os.path.dirname(os.__file__)}/threading.{sys.implementation.cache_tag}.pyc"

if __name__ == "__main__":
    if os.path.exists(_one):
        sys.pycache_prefix = _bytecode
    __import__("stage_launcher").main()
