"""A project's files -> Pipeline, with every problem of all files at once.

`bodywork.ini` with a folder for each stage, or one `bodywork.yaml` in schema "1.0" or "1.1"; both become documents of
one shape, which `forms` describes. Refuses what is not text, too large or nested too deep before it is parsed.
"""

from controller.core.inputs.project.forms import schema_text
from controller.core.inputs.project.loading import load, unread

__all__ = ["load", "schema_text", "unread"]
