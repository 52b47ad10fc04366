"""Runs a notebook as a script is run: `python notebook_run.py '<json>'`, with the Python of the stage's packages.

What cells say goes to standard output as it comes, each cell below a line that names it. It ends as the notebook does:
with 0, with the code of `sys.exit`, as its kernel did, or with 1 behind a failing cell's traceback, in which cells are
files. nbclient, ipykernel and nbconvert are among the stage's packages (core/inputs/requirements sees to that); all
else is the standard library's. What is kept of the notebook is without the values of secrets, and bounded.
"""

from __future__ import annotations

import ast
import contextlib
import json
import logging
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import warnings
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Sequence

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

if TYPE_CHECKING:
    from controller.runtime.notebook_copies import Copies
    from controller.runtime.notebook_kernel import ORDER, PLAIN
    from controller.runtime.stage_text import SEQUENCE, clean
else:  # published side by side: the script's folder is where Python looks first
    from notebook_copies import Copies
    from notebook_kernel import ORDER, PLAIN
    from stage_text import SEQUENCE, clean

HERE = os.path.dirname(os.path.abspath(__file__))
KEPT = 64 << 20  # characters of outputs that are kept in all; the log has what is said
KEPT_SAID = 1 << 20  # of what one cell says
ENDING = 10.0  # seconds that a kernel which has died may take to be gone
START = 600  # seconds for the kernel: what it imports comes from the volume. The stage's own limit is below
TITLE = 80  # bytes of a cell's first line, as it is shown
PATH_LIMIT = 80  # bytes of a socket's path: Linux takes 107, and what names the socket is behind it
CUT = "\n(the notebook keeps no more of this; the log has it)\n"
INJECTED = "injected-parameters"
TRUTH = {"true": True, "false": False}


class Ended(Exception):
    """The notebook has ended before its last cell: with this exit code, or by signal -n."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class OwnPython(KernelSpecManager):
    """Has one kernel, whatever the notebook's author called theirs: the Python that runs this."""

    def get_kernel_spec(self, kernel_name: str) -> Any:  # noqa: ARG002 - nbclient's name for it means nothing here
        """Return it."""
        program = os.path.join(HERE, "notebook_kernel.py")
        return KernelSpec(argv=[sys.executable, program, "-f", "{connection_file}"], language="python")


class Notebook(NotebookClient):
    """A notebook while it runs."""

    path = ""
    scratch = ""  # a folder for the kernel's sockets: a service's ports are its own
    stopped = 0  # the signal that we were stopped by
    number = 0  # of the cell that runs, as Jupyter counts those that have run
    kept = said = 0  # characters of all outputs, and of what the cell that runs has said
    blank: Callable[[str], str]  # what takes the values of secrets out of a text
    explained = False  # whether the kernel has shown why the cell failed

    def create_kernel_manager(self) -> Any:
        """Return the manager of the one kernel."""
        manager = super().create_kernel_manager()
        manager.kernel_spec_manager = OwnPython()
        if len(os.fsencode(self.scratch)) < PATH_LIMIT:
            manager.transport, manager.connection_file = "ipc", os.path.join(self.scratch, "k.json")
        return manager

    def cells(self) -> Iterator[None]:
        """Run one cell after the other, and yield after each. Raises Ended."""
        with contextlib.ExitStack() as kernel:
            try:
                kernel.enter_context(self.setup_kernel())
            except RuntimeError:  # it has said why, as Python does
                show("\nthe notebook's kernel did not start\n")
                raise Ended(1) from None
            process = self._process()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda number, _frame: self._stop(number, process))
            code = [cell for cell in self.nb.cells if cell.cell_type == "code" and cell.source.strip()]
            skipped = getattr(self, "skip_cells_with_tag", "")  # nbclient before 0.5.4 runs them
            code = [cell for cell in code if not _tagged(cell, skipped)]
            of = sum(not _tagged(cell, INJECTED) for cell in code)
            for index, cell in enumerate(self.nb.cells):
                if cell not in code:
                    continue
                own = not _tagged(cell, INJECTED)
                self.number += own
                self.said, self.explained = 0, False
                title = f"cell {self.number} of {of}: {clean(cell.source.strip().splitlines()[0], TITLE)}"
                show(f"{title if own else 'parameters of this run: ' + '; '.join(cell.source.splitlines())}\n")
                self._run(cell, index, own, process)
                yield

    def _run(self, cell: Any, index: int, own: bool, process: Any) -> None:
        try:
            self.execute_cell(cell, index, store_history=own)
            cell.execution_count = self.number if own else None
        except CellExecutionError as error:
            self._failed(str(error.ename), str(error.evalue))
        except DeadKernelError:
            status = process.wait(ENDING)
            show(f"\ncell {self.number} was running: {clean(cell.source.strip().splitlines()[0], TITLE)}\n")
            raise Ended(128 + self.stopped if self.stopped else status) from None
        if self.stopped:
            raise Ended(128 + self.stopped)

    def _failed(self, name: str, words: str) -> None:
        """Say why a cell failed, unless the kernel has, and end with its code."""
        if name == "SystemExit":
            if words in ("", "None") or re.fullmatch(r"-?\d+", words):
                raise Ended(0 if words in ("", "None") else int(words) & 0xFF)
            show(f"{words}\n")
        elif not self.explained:  # a mistake in a magic command
            show(f'  File "{self.path}, cell {self.number}", line 1, in <module>\n{name}: {words}\n')
        raise Ended(1)

    def _process(self) -> Any:
        """Return the kernel's process, in jupyter_client from version 7 on, and before."""
        manager: Any = self.km
        return getattr(getattr(manager, "provisioner", None), "process", None) or manager.kernel

    def _stop(self, number: int, process: Any) -> None:
        """Hand a signal on: the notebook may have something to tidy up, as a script may."""
        self.stopped = number
        with contextlib.suppress(OSError):
            process.send_signal(number)

    def process_message(self, msg: Dict[str, Any], cell: Any, cell_index: int) -> Any:
        """Show what the kernel says at once, and keep it in the notebook as far as that is bounded."""
        kind, content = msg["msg_type"], msg["content"]
        if kind == "stream":
            show(content["text"])
        elif kind in ("display_data", "execute_result"):
            data = content["data"]
            show(f"{data.get('text/plain') or ', '.join(data)}\n")
        elif kind == "error":
            trace = content["traceback"]
            self.explained = True
            exits = content["ename"] == "SystemExit"
            if trace and trace[-1].startswith(PLAIN):
                show(trace.pop()[len(PLAIN) :])
            elif not exits:
                show(re.sub(SEQUENCE, "", "\n".join([*trace, f"{content['ename']}: {content['evalue']}\n"])))
        else:
            return super().process_message(msg, cell, cell_index)
        if not self._fits(kind, content):
            return None
        before = len(cell.outputs)
        out = super().process_message(msg, cell, cell_index)
        if out and kind == "stream" and before and len(cell.outputs) > before:
            last = cell.outputs[-2]
            if last.output_type == "stream" and last.name == out.name:  # a secret may be in two parts
                last.text += cell.outputs.pop().text
        return out

    def _fits(self, kind: str, content: Dict[str, Any]) -> bool:
        """Return whether the notebook keeps an output; of what is said its beginning."""
        room = KEPT - self.kept
        if kind == "stream":
            text, room = content["text"], min(room, KEPT_SAID - self.said)
            if 0 <= room < len(text):  # for the first time
                content["text"] = self.blank(text)[:room] + CUT  # half a secret would be one that nobody knows
            self.said += len(text)
            self.kept += min(len(text), max(room, 0))
            return room >= 0
        size = len(json.dumps(content))
        self.kept += size if size <= room else 0
        return size <= room


def show(text: str) -> None:
    """Write to standard output, which the launcher reads."""
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


def _tagged(cell: Any, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def read(path: str) -> Any:
    """Return a notebook without what it showed when it ran before. Raises Ended."""
    try:
        found = nbformat.read(path, as_version=4)
        language = str(found.metadata.get("kernelspec", {}).get("language") or "python")
        for cell in found.cells:
            cell.source.encode()  # fails unless it is text, which nbformat.read does not look at
            if not isinstance(cell.metadata.get("tags", []), list):
                del cell.metadata["tags"]
        cells = [cell for cell in found.cells if cell.cell_type == "code"]
    except Exception as error:  # noqa: BLE001 - of many kinds, by what is wrong with it
        show(f"not a notebook that Jupyter reads: {type(error).__name__}: {clean(str(error))}\n")
        raise Ended(1) from None
    if language.lower() != "python":
        show(f"a notebook in {clean(language)}, and only those in Python run\n")
        raise Ended(1)
    for cell in cells:
        cell.outputs, cell.execution_count = [], None
    found.metadata.pop("widgets", None)
    return found


def set_parameters(notebook: Any, names: Sequence[str]) -> None:
    """Add a cell, as papermill does, with the variables that the cell tagged `parameters` assigns and the stage has."""
    for at, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and _tagged(cell, "parameters"):
            lines = [
                f"{name} = {_value(os.environ[name], node)!r}"
                for name, node in _assigned(cell.source)
                if name in names and name in os.environ
            ]
            if lines:
                added = nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": [INJECTED]})
                if notebook.nbformat_minor < 5:  # noqa: PLR2004 - cells have had ids since 4.5
                    added.pop("id", None)
                rest = [other for other in notebook.cells[at + 1 :] if not _tagged(other, INJECTED)]
                notebook.cells[at + 1 :] = [added, *rest]
            return


def _assigned(source: str) -> Iterator[Any]:
    """Yield the names that a cell's text assigns, with their values."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):  # one with magic commands, or a NUL (before Python 3.12)
        return
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, getattr(node, "value", None)


def _value(text: str, default: Optional[ast.AST]) -> Any:
    """Return a variable's value as Python's, unless its default is text."""
    if isinstance(default, ast.JoinedStr) or (isinstance(default, ast.Constant) and isinstance(default.value, str)):
        return text
    with contextlib.suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return TRUTH[text.lower()] if text.lower() in TRUTH else ast.literal_eval(text)
    return text


def run(order: Dict[str, Any]) -> int:
    """Run a notebook; return its exit code, or -n for signal n."""
    path, status = order["notebook"], 0
    scratch = tempfile.mkdtemp(prefix="nb-")
    try:
        found = read(path)
        set_parameters(found, order["parameters"])
        os.environ[ORDER] = json.dumps([path, order["args"]])
        notebook = Notebook(found, kernel_name="python3", iopub_timeout=60, startup_timeout=START)
        copies = Copies(found, order, show)
        notebook.path, notebook.scratch, notebook.blank = path, scratch, copies.redactor.text
        try:
            for _ in notebook.cells():
                copies.soon()
        except Ended as ended:
            status = ended.status
        with contextlib.suppress(Exception):
            notebook.set_widgets_metadata()
        copies.keep(page=True)
    except Ended as ended:
        return ended.status
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return status


def main(arguments: List[str]) -> None:
    """Do what the arguments order, JSON in one or more parts, and end as the notebook has."""
    warnings.simplefilter("ignore")  # of Jupyter's own: the notebook's are shown by its kernel
    logging.disable(logging.CRITICAL)
    shared = os.path.join(sys.base_prefix, "share", "jupyter")  # of an image that has Jupyter
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [os.environ.get("JUPYTER_PATH"), shared]))
    status = run(json.loads("".join(arguments)))
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the kernel has left one, if anybody wants it
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
