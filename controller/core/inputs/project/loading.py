"""The way from a tree to a Pipeline: find the project's file, have it read in its form, show all problems or none."""

from dataclasses import replace
from pathlib import PurePosixPath

from controller.core import images
from controller.core.errors import Invalid
from controller.core.inputs import kinds
from controller.core.inputs.project import from_ini, from_yaml, leftout, modules, pins
from controller.core.inputs.project.reading import Reading
from controller.core.model import Pipeline, ProjectTree, Unread

INI, YAML = "bodywork.ini", "bodywork.yaml"
DAYS = {INI: "RESOLVE_AS_OF = {} in [default] of bodywork.ini", YAML: "resolve_as_of: {} next to name in bodywork.yaml"}
PROJECT_FILES = (INI, YAML, "bodywork.yml")
MORE = "and more problems: mend these first"
MORE_WARNINGS = "and more warnings"
CANDIDATES = 3  # shown at most
OTHERWISE = images.by_default()


def load(
    tree: ProjectTree, *, strict: bool = False, python: images.PythonOf = OTHERWISE, judge: pins.Judge = pins.unasked
) -> Pipeline:
    """Return the pipeline that a project describes; with `strict`, warnings are problems; `judge`: of proposed days.

    `python` knows the Python of a stage. The tree has to hold what `unread` names.
    Raises Invalid("InvalidProject") with every problem and warning of all files, Invalid("NoProject") where there is no
    project.
    """
    main, reading, pipeline = _read(tree, python)
    for path in reading.unread.texts:
        reading.problem(path, "could not be read")
    if pipeline and not pipeline.resolve_as_of:  # else the project has its day
        needs = {}
        for stage in pipeline.stages.values():
            if found := reading.required.get(stage.name):
                script = str(PurePosixPath(stage.folder, stage.script))
                scripts = {script: tree.texts[script]} if script in tree.texts else {}
                needs[stage.name] = pins.Need(found.entries, python(pipeline, stage), scripts)
        old = pins.warnings(needs, DAYS[main], judge)
        reading.warnings.extend(old[: kinds.PROBLEM_LIMIT])
    warnings = kinds.bounded(reading.warnings, f"{main}: {MORE_WARNINGS}")
    problems = [*reading.problems, *(reading.warnings if strict else [])]
    if problems or pipeline is None:
        raise Invalid("InvalidProject", kinds.bounded(problems, f"{main}: {MORE}"), () if strict else warnings)
    pipeline = leftout.reusing(pipeline, main, reading) if pipeline.reuse else pipeline
    return replace(pipeline, warnings=warnings)


def unread(tree: ProjectTree) -> Unread:
    """Return which files have to be known too; nothing once `load` can judge all. Raises Invalid("NoProject")."""
    return _read(tree, OTHERWISE)[1].unread


def _read(tree: ProjectTree, python: images.PythonOf) -> tuple[str, Reading, Pipeline | None]:
    """Return the project's own file, and what a reading of all its files gives."""
    reading = Reading(tree, warnings=list(tree.warnings))
    main = next((name for name in (YAML, INI) if name in tree.files or name in tree.faults), "")
    if not main:
        raise Invalid("NoProject", kinds.bounded([_absent(tree)], f"{INI}: {MORE}"))
    for other in sorted(name for name in tree.files if name != main and name.lower() in PROJECT_FILES):
        remedy = "remove one of them" if other == INI else f"its name is not exactly {YAML} or {INI}"
        reading.warning(other, f"not used, since {main} is there too: {remedy}")
    pipeline = (from_yaml if main == YAML else from_ini).read(main, reading)
    modules.check(reading, pipeline, python)
    return main, reading, pipeline


def _absent(tree: ProjectTree) -> str:
    """Return the sentence for no project, and where one could be meant."""
    missing = f"{INI}: not found, nor is {YAML}"
    if near := sorted(name for name in tree.files if name.lower() in PROJECT_FILES):
        return f"{missing}: rename {near[0]} to {INI if near[0].lower() == INI else YAML}"
    paths = (PurePosixPath(path) for path in tree.files if path.endswith((f"/{INI}", f"/{YAML}")))
    found = sorted(paths, key=lambda path: (len(path.parts), str(path)))[:CANDIDATES]
    if not found:
        return f"{missing}: write one, or set path to the folder that holds it"
    return f"{missing}; found " + ", ".join(
        f"{path}: set path: {PurePosixPath(tree.path) / path.parent}" for path in found
    )
