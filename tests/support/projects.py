"""Projects as the Git adapter hands them over, built from texts."""

from collections.abc import Mapping

from controller.core.errors import Invalid
from controller.core.inputs.project import load
from controller.core.model import Pipeline, ProjectTree

MAIN_INI = "[default]\nPROJECT_NAME = iris\n[workflow]\nDAG = train\n"
BATCH_INI = "[default]\nSTAGE_TYPE = batch\nEXECUTABLE_SCRIPT = main.py\n"
SERVICE_INI = "[default]\nSTAGE_TYPE = service\nEXECUTABLE_SCRIPT = main.py\n[service]\nPORT = 5000\n"


def tree(texts: Mapping[str, str | bytes], *others: str, faults: Mapping[str, str] | None = None) -> ProjectTree:
    """Return a tree of these texts, and of other files of which only the names matter."""
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in texts.items()}
    return ProjectTree(digest="t", files=frozenset((*contents, *others)), texts=contents, faults=faults or {})


def one_stage(config: str, main: str = MAIN_INI, **others: str | bytes) -> ProjectTree:
    """Return an ini project with the one stage `train`."""
    return tree({"bodywork.ini": main, "train/config.ini": config, **others}, "train/main.py")


def problems_of(project: ProjectTree, *, strict: bool = False) -> tuple[str, ...]:
    """Return the problems of a project, none if it is valid."""
    try:
        load(project, strict=strict)
    except Invalid as error:
        return error.problems
    return ()


def outcome(project: ProjectTree) -> Pipeline | Invalid:
    """Return the pipeline or the refusal; anything else is raised."""
    try:
        return load(project)
    except Invalid as error:
        return error
