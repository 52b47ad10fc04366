"""Notebooks as Jupyter saves them, with what they showed when their author last ran them."""

import json
from typing import Any

STALE = "shown to the author"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg=="


def notebook(*cells: str, tags: dict[int, str] | None = None, language: str = "python") -> str:
    """Return a notebook of code cells; `tags` are of cells by their number, from 1, and other cells have null then."""
    code = [
        {
            "cell_type": "code",
            "source": source,
            "metadata": {"tags": [tags[number]] if number in tags else None} if tags else {},
            "outputs": [{"output_type": "stream", "name": "stdout", "text": STALE}],
            "execution_count": 90 + number,
        }
        for number, source in enumerate(cells, 1)
    ]
    title = {"cell_type": "markdown", "source": "# A title", "metadata": {}}
    kernel = {"name": "conda-env-mine", "display_name": "mine", "language": language}
    found: dict[str, Any] = {"nbformat": 4, "nbformat_minor": 4, "metadata": {"kernelspec": kernel}}
    return json.dumps(found | {"cells": [title, *code]})
