"""The way from a tree to a Pipeline: find the project's file, have it read in its form, show all problems or none."""

from dataclasses import replace
from pathlib import PurePosixPath

from controller.core import checks, images
from controller.core.errors import Invalid
from controller.core.model import AS_OF_COMMIT, Pipeline, ProjectTree
from controller.core.project import from_ini, from_yaml, pins
from controller.core.project.reading import Reading
from controller.core.requirements import Look

INI, YAML = "bodywork.ini", "bodywork.yaml"
DAYS = {INI: "RESOLVE_AS_OF = {} in [default] of bodywork.ini", YAML: "resolve_as_of: {} beside name in bodywork.yaml"}
MORE = "and more problems: mend these first"
CANDIDATES = 3  # shown at most


def load(tree: ProjectTree, *, strict: bool = False, judge: pins.Judge = pins.unasked) -> Pipeline:
    """Return the pipeline that a project describes; with `strict`, warnings are problems; `judge`: of proposed days.

    Raises Invalid("InvalidProject") with every problem of all files, Invalid("NoProject") where there is no project.
    """
    reading = Reading(tree, list(tree.problems), list(tree.warnings))
    if YAML in tree.files:
        if INI in tree.files:
            reading.warning(INI, f"not used, since {YAML} is there too: remove one of them")
        main, pipeline = YAML, from_yaml.read(YAML, reading)
    elif INI in tree.files:
        main, pipeline = INI, from_ini.read(INI, reading)
    else:
        raise Invalid("NoProject", checks.bounded((_absent(tree), *tree.problems), f"{INI}: {MORE}"))
    if pipeline:
        reading.warnings.extend(_old_pins(pipeline, reading, DAYS[main], judge)[: checks.PROBLEM_LIMIT])
    problems = [*reading.problems, *(reading.warnings if strict else [])]
    if problems or pipeline is None:
        raise Invalid("InvalidProject", checks.bounded(problems, f"{main}: {MORE}"))
    return replace(pipeline, warnings=checks.bounded(reading.warnings, f"{main}: and more warnings"))


def _old_pins(pipeline: Pipeline, reading: Reading, line: str, judge: pins.Judge) -> tuple[str, ...]:
    """Return the warnings of pins that the project's day does not mend; only stages that run count."""
    needs = {name: _need(pipeline, name, look) for name, look in reading.required.items() if name in pipeline.stages}
    if not pipeline.resolve_as_of:
        return pins.warnings(needs, line, judge)
    if pipeline.resolve_as_of != AS_OF_COMMIT:
        return ()
    alone = ({name: need} for name, need in needs.items())
    return tuple(text for one in alone if not pins.propose(one).day for text in pins.warnings(one, line))


def _need(pipeline: Pipeline, stage: str, look: Look) -> pins.Need:
    wanted = images.wish(pipeline, pipeline.stages[stage])
    return pins.Need(look.lines, wanted.python if wanted else "", look.limits)


def _absent(tree: ProjectTree) -> str:
    """Say that there is no project, and where one could be meant."""
    missing = f"{INI}: not found, nor is {YAML}"
    if "bodywork.yml" in tree.files:
        return f"{missing}: rename bodywork.yml to {YAML}"
    paths = (PurePosixPath(path) for path in tree.files if path.endswith((f"/{INI}", f"/{YAML}")))
    found = sorted(paths, key=lambda path: (len(path.parts), str(path)))[:CANDIDATES]
    if not found:
        return f"{missing}: write one, or set path to the folder that holds it"
    return f"{missing}; found " + ", ".join(
        f"{path}: set path: {PurePosixPath(tree.path) / path.parent}" for path in found
    )
