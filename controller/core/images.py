"""Which image each stage runs in: what names an image, what names a Python, and which of them wins.

The more specific word wins: PYTHON of a stage, DOCKER_IMAGE, the request's image, PYTHON of the project, the Python of
Bodywork's own image, the controller's image. Refuses a Python that the controller has no image of.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from controller.core.errors import Invalid
from controller.core.model import Pipeline, Policy, RunSpec, Stage
from controller.core.text import quoted

SETTING = "COACHWORK_IMAGES"
DEFAULT_PYTHON = "3.12"  # of the controller's own image
OLDEST_MINOR = 8  # Python 3.8: what the launcher runs on
# https://hub.docker.com/_/python; with git and a compiler: the same without -slim
OFFICIAL = tuple((f"3.{minor}", f"python:3.{minor}-slim") for minor in range(OLDEST_MINOR, 16))

_BODYWORK = re.compile(
    r"(?:(?:index\.|registry-1\.)?docker\.io/)?bodyworkml/bodywork-core(?::(?P<tag>[^@]*))?(?:@(?P<digest>.*))?"
)
_OF_BODYWORK = {"0": "3.7", "1": "3.7", "2": "3.8", "3": "3.9"}  # the Python in its image, by its major version
_LAST = "3.9"
_VISIBLE = re.compile(r"(?:^|/)python:(?P<version>[0-9]+\.[0-9]+)(?=[.@-]|$)")


@dataclass(frozen=True, slots=True)
class Wish:
    """The Python that a stage is to have, and what says so. Not `firm`: another one will do where there is none."""

    python: str  # 3.9
    why: str
    firm: bool
    note: str = ""  # what a reader of the project would not expect


@dataclass(frozen=True, slots=True)
class Choice:
    """The images of stages that do not run in the default one, the Pythons that are known, and what is to be said."""

    images: tuple[tuple[str, str], ...]
    pythons: Mapping[str, str]
    notes: tuple[str, ...]


def python_problem(text: str) -> str:
    """Return what is wrong with a Python that a project asks for, in one sentence; "" if nothing is."""
    version = re.search(r"(?P<major>[0-9]+)\.(?P<minor>[0-9]{1,3})", text)
    if not version:
        return f"expected a Python like 3.9, got {quoted(text)}"
    if (int(version["major"][:3]), int(version["minor"])) < (3, OLDEST_MINOR):
        return f"expected Python 3.{OLDEST_MINOR} or later, got {quoted(text)}"
    if not re.fullmatch(r"3\.[1-9][0-9]?", text):
        hint = f": write 3.{int(version['minor'])}" if re.search(r"(?<![0-9.])3\.[0-9]{1,2}(?![0-9])", text) else ""
        return f"expected a Python like 3.9, got {quoted(text)}{hint}"
    return ""


def is_bodywork(image: str) -> bool:
    """Return whether an image is Bodywork's own: then what counts is its Python."""
    return _BODYWORK.fullmatch(image) is not None


def visible(image: str) -> str:
    """Return the Python that the tag of an official image names, "" where it can't be seen."""
    found = _VISIBLE.search(image)
    return found["version"] if found else ""


def wish(pipeline: Pipeline, stage: Stage | None = None) -> Wish | None:
    """Return which Python a stage is to have (None: any stage that says nothing itself), None where nothing says."""
    if stage and stage.python:
        return Wish(stage.python, f"its PYTHON is {stage.python}", firm=True)
    if pipeline.python:
        return Wish(pipeline.python, f"PYTHON of the project is {pipeline.python}", firm=True)
    if version := visible(pipeline.image):
        return Wish(version, f"DOCKER_IMAGE is {pipeline.image}", firm=False)
    return _of_bodywork(pipeline.bodywork_image) if pipeline.bodywork_image else None


@dataclass(frozen=True, slots=True)
class Default:
    """The Python of stages that ask for none, "" where nobody knows.

    `asked`: of the request's image, which wins over the project's wish. `always`: it runs all stages.
    `images`: by the Python that is asked for; that of an image that shows another one is what counts.
    """

    python: str = DEFAULT_PYTHON
    asked: bool = False
    always: bool = False
    images: tuple[tuple[str, str], ...] = ()


def otherwise(image: str, policy: Policy) -> Default:
    """Return the Python of an image that is the request's, or the controller's own one."""
    own = image == policy.image
    return Default(visible(image) or (DEFAULT_PYTHON if own else ""), asked=not own, images=policy.images)


def expected(pipeline: Pipeline, stage: Stage | None, python: Default) -> str:
    """Return the Python that a stage is judged by, "" where nobody knows."""
    wanted, own = wish(pipeline, stage), bool(stage and stage.python)
    if python.always or (python.asked and not pipeline.image and not own):
        return python.python
    if not wanted:
        return "" if pipeline.image else python.python
    image = pipeline.image if pipeline.image and not own else dict(python.images).get(wanted.python, "")
    return visible(image) or wanted.python


def _of_bodywork(image: str) -> Wish:
    """Return the Python of Bodywork's image; whatever its tag does not tell is the last one's."""
    found = _BODYWORK.fullmatch(image)
    tag, digest = (found["tag"] or "", found["digest"] or "") if found else ("", "")
    why = f"DOCKER_IMAGE is {image}"
    version = re.fullmatch(r"v?([0-9]+)(?:[.+_-].*)?", tag)
    python = _OF_BODYWORK.get(version[1]) if version else None
    if python == "3.7":
        note = f"{why}, which had Python 3.7: its stages get 3.8, the oldest that Coachwork runs on"
        return Wish("3.8", why, firm=False, note=note)
    if python:
        return Wish(python, why, firm=False)
    told = tag == "latest" or not (tag or digest)
    note = (
        f"{why}, which does not tell its version: its stages get Python {_LAST}, the last one's; PYTHON names another"
    )
    return Wish(_LAST, why, firm=False, note="" if told else note)


def of_stage(spec: RunSpec, pipeline: Pipeline, stage: str) -> str:
    """Return the image that a stage of a run has."""
    return dict(spec.images).get(stage) or pipeline.image or spec.image


def choose(pipeline: Pipeline, stages: Collection[str], asked: str, policy: Policy) -> Choice:
    """Return the images of a project's stages; `asked` is the request's image, `stages` are those that run.

    Raises Invalid with a line for each Python of a running stage that there is no image of.
    """
    default, known = pipeline.image or asked or policy.image, dict(policy.images)
    images: dict[str, str] = {}
    pythons: dict[str, str] = {}
    notes: dict[str, None] = {}
    problems: dict[str, None] = {}
    for stage in pipeline.stages.values():
        wanted = _by_python(pipeline, stage, asked)
        pythons[stage.name] = wanted.python if wanted else visible(default)
        notes |= dict.fromkeys(_notes(pipeline, stage, asked, wanted))
        if wanted and wanted.python in known:
            images |= {stage.name: known[wanted.python]} if known[wanted.python] != default else {}
        elif wanted and stage.name in stages:
            problems[_none(stage, wanted, known)] = None
    if problems:
        raise Invalid("InvalidProject", tuple(problems))
    return Choice(tuple(images.items()), pythons, tuple(notes))


def _by_python(pipeline: Pipeline, stage: Stage, asked: str) -> Wish | None:
    """Return the Python that decides on a stage's image, None where an image is named, or nothing is."""
    named = pipeline.image or asked
    wanted = wish(pipeline, stage)
    if stage.python:
        return wanted if visible(named) != stage.python else None
    return None if named else wanted


def _notes(pipeline: Pipeline, stage: Stage, asked: str, wanted: Wish | None) -> Iterator[str]:
    """Yield what is to be said about a stage's image: what is not as it seems, and where request and project differ."""
    if wanted and wanted.note:
        yield wanted.note
    if pipeline.image or not asked:
        return
    if wanted:
        yield f"stage {stage.name}: runs on Python {wanted.python}, since {wanted.why}, and not in the request's image"
    elif not stage.python and pipeline.python and visible(asked) not in ("", pipeline.python):
        yield f"PYTHON of the project is {pipeline.python}, but the request's image wins, and {asked} has another"


def _none(stage: Stage, wanted: Wish, known: Mapping[str, str]) -> str:
    """Return the line for a Python that there is no image of."""
    there = f"it has {', '.join(known)}" if known else "it has none"
    remedy = f"write PYTHON with one of these, or add {wanted.python}=IMAGE to {SETTING}"
    return (
        f"stage {stage.name}: wants Python {wanted.python}, since {wanted.why}, "
        f"and {SETTING} of the controller has no image of it ({there}): {remedy}"
    )
