"""The kernel of a notebook that runs as a stage: ipykernel's, but that cells are files to it.

A traceback names `train.ipynb, cell 7` where it would name a file of a script, and goes to notebook_run.py as Python
writes it, too. A cell's `sys.argv` and `sys.path` are those of a script.
"""

import contextlib
import json
import os
import sys
import traceback
import warnings
from typing import Any, List

ORDER = "COACHWORK_NOTEBOOK"  # a variable: the notebook's path, and its arguments
PLAIN = "\0coachwork\n"  # begins the part of a traceback that is as Python writes it
CELL = ", cell "  # behind the notebook's path


def plain(error: BaseException) -> str:
    """Return a traceback from the first cell that is in it."""
    trace = error.__traceback__
    while trace and CELL not in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def main() -> None:
    """Start the kernel with Jupyter's own arguments."""
    path, arguments = json.loads(os.environ.pop(ORDER))
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # its debugger warns of what nobody debugs
    jupyter, sys.argv = sys.argv[1:], [path, *arguments]
    sys.path[0] = os.path.dirname(path)
    warnings.filterwarnings("ignore", message="To exit: use")  # said to those who call sys.exit in a notebook

    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415 - one of the stage's packages

    app: Any = IPKernelApp.instance()
    app.initialize(jupyter)
    shell = app.shell
    shell.compile.get_code_name = lambda _raw, _code, number: f"{path}{CELL}{number}"
    shell.user_ns["exit"] = shell.user_ns["quit"] = sys.exit  # IPython's would end after the last cell
    show = shell._showtraceback  # noqa: SLF001 - where all exceptions of cells pass, since 2011

    def show_plainly(kind: type, error: BaseException, lines: List[str]) -> None:
        if not isinstance(error, SystemExit):
            with contextlib.suppress(Exception):  # of an exception that can't even be written
                lines = [*lines, PLAIN + plain(error)]
        show(kind, error, lines)

    shell._showtraceback = show_plainly  # noqa: SLF001
    app.start()


if __name__ == "__main__":
    main()
