"""Builds one environment in a container of its own: `python3 install.py '<json>'`, as PID 1, not root, Python >= 3.8.

Python compiles a script at every start, so this one is short: what it does is in install_attempt.py.
"""

import sys

if __name__ == "__main__":
    sys.pycache_prefix = __import__("launch").bytecode() or sys.pycache_prefix
    __import__("install_attempt").main()
