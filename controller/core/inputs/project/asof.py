"""As of which day a stage's packages are taken, what a run says about it, and when requirements last changed."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from controller.core.inputs import requirements
from controller.core.inputs.project import pins, yamltext
from controller.core.inputs.requirements import YAML, RequirementLine, decoded
from controller.core.model import AS_OF_COMMIT, Pipeline


@dataclass(frozen=True, slots=True)
class AsOf:
    """A day ("": now), and of which two it is the earlier one."""

    day: str
    changed: str = ""  # on which the requirements last changed; "": they are not committed
    worked: str = ""  # until which their pins worked, as far as is known


@dataclass(frozen=True, slots=True)
class Meaning:
    """What files require of a stage, without comments and layout; equal for files that say the same."""

    stage: str

    def __call__(self, texts: Mapping[str, bytes]) -> Hashable:
        """Return what these files require; of one that can't be read, its content."""
        found: dict[str, Hashable] = dict(sorted(texts.items()))
        for path, content in texts.items():
            with suppress(ValueError, yamltext.Unreadable):
                text = decoded(content)
                if path == YAML:
                    part = yamltext.parse(text)[0]
                    for key in ("stages", self.stage, "requirements"):
                        part = part.get(key) if isinstance(part, dict) else None
                    text = "\n".join(map(str, part if isinstance(part, list) else ()))
                found[path] = requirements.lines(text)
        return tuple(found.items())


def decide(changed: str, entries: Sequence[RequirementLine], python: str) -> AsOf:
    """Return the day for requirements that last changed on the day `changed`: no later one than their pins worked."""
    worked = pins.propose({"": pins.Need(entries, python)}).day
    return AsOf(min(filter(None, (changed, worked)), default=""), changed, worked)


def notes(pipeline: Pipeline, days: Mapping[str, AsOf]) -> Iterator[str]:
    """Yield what is to be said of the days of stages: where Bodywork's image is why, or pins ask for an earlier one."""
    if pipeline.resolve_as_of != AS_OF_COMMIT:
        return
    stages: dict[AsOf, list[str]] = {}
    for stage, found in days.items():
        if pipeline.bodywork_image or found.day != found.changed:
            stages.setdefault(found, []).append(stage)
    why = "RESOLVE_AS_OF = commit" + (", the default with Bodywork's image" if pipeline.bodywork_image else "")
    for found, names in stages.items():
        which = f"stage {names[0]}" if len(names) == 1 else f"stages {', '.join(names)}"
        changed = f"last changed on {found.changed}" if found.changed else "are not committed"
        worked = f"their pins worked until {found.worked}" if found.worked else "no known pin needs an earlier day"
        yield (
            f"{which}: packages are those of {found.day or 'today'} ({why}): the requirements {changed}, and {worked}; "
            "RESOLVE_AS_OF = now takes the newest"
        )
