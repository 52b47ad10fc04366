"""Where a stage's requirements are written, and what is written there: to find the commit that last changed them."""

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from controller.core.inputs import requirements
from controller.core.inputs.project import yamltext
from controller.core.inputs.requirements.text import decoded

YAML = "bodywork.yaml"


def files(places: Iterable[str]) -> tuple[str, ...]:
    """Return the files that the places of requirement lines name: `train/requirements.txt:3`, `bodywork.yaml: ...`."""
    return tuple(dict.fromkeys(re.sub(r":(?: stages\..*|[0-9]+)$", "", place) for place in places))


@dataclass(frozen=True, slots=True)
class Meaning:
    """What files require of a stage, without comments and layout; equal for files that say the same."""

    stage: str

    def __call__(self, texts: Mapping[str, bytes]) -> Hashable:
        """Return what these files require."""
        return tuple((path, _lines(self.stage, path, content)) for path, content in sorted(texts.items()))


def _lines(stage: str, path: str, content: bytes) -> Hashable:
    try:
        text = decoded(content)
        return requirements.lines("\n".join(_inline(stage, text)) if path == YAML else text)
    except (ValueError, yamltext.Unreadable):
        return content


def _inline(stage: str, text: str) -> list[str]:
    """Return the requirements of a stage of bodywork.yaml, none where there is no such stage."""
    found = yamltext.parse(text)[0]
    for key in ("stages", stage, "requirements"):
        found = found.get(key) if isinstance(found, dict) else None
    return [str(line) for line in found] if isinstance(found, list) else []
