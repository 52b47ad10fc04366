"""What is kept of a notebook that has run: itself and a page of it, without the values of secrets."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, Callable, Dict

import nbformat

if TYPE_CHECKING:
    from controller.runtime.stage_redact import Redactor
else:  # published side by side: the script's folder is where Python looks first
    from stage_redact import Redactor

BETWEEN = 10.0  # seconds between two copies while it runs
WIDGET = "application/vnd.jupyter.widget-view+json"


class Copies:
    """Keeps what has run of a notebook in a folder of the run, and in the end also as a page."""

    def __init__(self, notebook: Any, order: Dict[str, Any], say: Callable[[str], None]) -> None:
        """Keep it at `into`, without an ending; "": nowhere."""
        self._notebook, self._into, self._say = notebook, order["into"], say
        self.redactor = Redactor([os.environ.get(name, "") for name in order["secrets"]])
        self._due = time.monotonic() + BETWEEN

    def soon(self) -> None:
        """Keep it if the last copy is old: what is killed for its memory keeps nothing any more."""
        if time.monotonic() > self._due:
            self.keep()
            self._due = time.monotonic() + BETWEEN

    def keep(self, page: bool = False) -> None:
        """Keep it; what can't be kept fails nobody."""
        if not self._into:
            return
        try:
            clean = nbformat.from_dict(self._blanked(self._notebook))
            self._write("ipynb", nbformat.writes(clean))
            if page:
                self._write("html", _page(clean))
        except Exception as error:  # noqa: BLE001 - packages of any version, a full volume
            self._say(f"the notebook that has run is not kept: {type(error).__name__}: {error}\n")

    def _blanked(self, value: Any) -> Any:
        """Return a part of the notebook without the values of secrets."""
        if isinstance(value, str):
            return self.redactor.text(value)
        if isinstance(value, dict):
            return {self.redactor.text(key): self._blanked(inner) for key, inner in value.items()}
        return [self._blanked(inner) for inner in value] if isinstance(value, list) else value

    def _write(self, ending: str, text: str) -> None:
        os.makedirs(os.path.dirname(self._into), exist_ok=True)
        fresh = f"{self._into}.{ending}.new"
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        with open(fresh, "x", encoding="utf-8") as file:
            file.write(text)
        os.rename(fresh, f"{self._into}.{ending}")


def _page(notebook: Any) -> str:
    """Return a notebook as a page; widgets, which need a network and scripts, as the text that they have too."""
    from nbconvert import HTMLExporter  # noqa: PLC0415 - it takes a second, and cells need not wait for it

    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "text/plain" in output.get("data", {}):
                output.data.pop(WIDGET, None)
    return str(HTMLExporter().from_notebook_node(notebook)[0])
