"""Which image each stage runs in: what names an image, what names a Python, and which of them wins.

The more specific word wins: PYTHON of a stage, DOCKER_IMAGE, the request's image, PYTHON of the project, the Python of
Bodywork's own image, the controller's image. Refuses a Python that the controller has no image of.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

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
    """Return whether an image is Bodywork's own: then its Python is what is meant."""
    return _BODYWORK.fullmatch(image) is not None


def visible(image: str) -> str:
    """Return the Python that the tag of an official image names, "" where it can't be seen."""
    found = _VISIBLE.search(image)
    return found["version"] if found else ""


def wish(pipeline: Pipeline, stage: Stage | None = None) -> Wish | None:
    """Return which Python a stage is to have (None: any stage that says nothing itself), None where nothing says."""
    if stage and stage.python:
        return Wish(stage.python, f"{stage.python_place} is {stage.python}", firm=True)
    if pipeline.python:
        return Wish(pipeline.python, f"{pipeline.python_place} is {pipeline.python}", firm=True)
    if python := visible(pipeline.image):
        return Wish(python, f"DOCKER_IMAGE is {pipeline.image}", firm=False)
    image = pipeline.bodywork_image
    if not image:
        return None
    found = _BODYWORK.fullmatch(image)
    tag, digest = (found["tag"] or "", found["digest"] or "") if found else ("", "")
    version = re.fullmatch(r"v?([0-9]+)(?:[.+_-].*)?", tag)
    why, note = f"DOCKER_IMAGE is {image}", ""
    python = _OF_BODYWORK.get(version[1], "") if version else ""
    if python == "3.7":
        python, note = "3.8", f"{why}, which had Python 3.7: its stages get 3.8, the oldest that Coachwork runs on"
    elif not python:  # its tag does not name its version: it is taken for the last one
        python = _LAST
        if tag not in ("", "latest") or (digest and not tag):
            gets = f"its stages get Python {_LAST}, the last one's; PYTHON names another"
            note = f"{why}, which does not name its version: {gets}"
    return Wish(python, why, firm=False, note=note)


PythonOf: TypeAlias = Callable[[Pipeline | None, Stage | None], str]
"""Returns the Python that a stage is judged by, "" where nobody knows; no pipeline: of a project that has faults."""


def by_default(python: str = DEFAULT_PYTHON, known: Collection[tuple[str, str]] = ()) -> PythonOf:
    """Return the look-up where `python` runs the stages that ask for none; `known` are images by their Python."""

    def python_of(pipeline: Pipeline | None, stage: Stage | None) -> str:
        asked = wish(pipeline, stage) if pipeline else None
        if not pipeline or not asked:
            return "" if pipeline and pipeline.image else python
        own = bool(stage and stage.python)
        image = pipeline.image if pipeline.image and not own else dict(known).get(asked.python, "")
        return visible(image) or asked.python

    return python_of


def of_request(image: str, policy: Policy) -> PythonOf:
    """Return the look-up where `image` is the request's, which wins over the project's wish, or the controller's."""
    if image == policy.image:
        return by_default(visible(image) or DEFAULT_PYTHON, policy.images)
    others = by_default(visible(image), policy.images)

    def python_of(pipeline: Pipeline | None, stage: Stage | None) -> str:
        decides = pipeline and (pipeline.image or (stage and stage.python))
        return others(pipeline, stage) if decides else visible(image)

    return python_of


def of_stage(spec: RunSpec, pipeline: Pipeline, stage: str) -> str:
    """Return the image that a stage of a run has."""
    return dict(spec.images).get(stage) or pipeline.image or spec.image


def named_by(spec: RunSpec, pipeline: Pipeline, stage: str, policy: Policy) -> str:
    """Return what names the image that a stage of a run has."""
    if stage in dict(spec.images):
        return f"{SETTING} of the controller"
    if pipeline.image:
        return "DOCKER_IMAGE in the project"
    return "COACHWORK_IMAGE of the controller" if spec.image == policy.image else "`image` in the request"


def choose(pipeline: Pipeline, stages: Collection[str], requested: str, policy: Policy) -> Choice:
    """Return the images of a project's stages; `requested` is the request's image, `stages` are those that run.

    Raises Invalid with a line for each Python that a running stage needs and no image has.
    """
    named, known = pipeline.image or requested, dict(policy.images)
    default = named or policy.image
    images: dict[str, str] = {}
    pythons: dict[str, str] = {}
    notes: dict[str, None] = {}
    problems: dict[str, None] = {}
    for stage in pipeline.stages.values():
        # An image that is named decides, unless the stage itself names a Python that is not the image's.
        decides = named and (not stage.python or visible(named) == stage.python)
        own = None if decides else wish(pipeline, stage)
        pythons[stage.name] = own.python if own else visible(default)
        notes |= dict.fromkeys(_notes(pipeline, stage, requested, own))
        if own and own.python in known:
            images |= {stage.name: known[own.python]} if known[own.python] != default else {}
        elif own and stage.name in stages:
            has = f"it has {', '.join(known)}" if known else "it has none"
            problem = f"needs Python {own.python}, since {own.why}, and {SETTING} of the controller has no image of it"
            remedy = f"write PYTHON with one of these, or add {own.python}=IMAGE to {SETTING}"
            problems[f"stage {stage.name}: {problem} ({has}): {remedy}"] = None
    if problems:
        raise Invalid("InvalidProject", tuple(problems))
    return Choice(tuple(images.items()), pythons, tuple(notes))


def _notes(pipeline: Pipeline, stage: Stage, requested: str, wish: Wish | None) -> Iterator[str]:
    """Yield what is to be said about a stage's image: what is not as it seems, and where request and project differ."""
    if wish and wish.note:
        yield wish.note
    if pipeline.image or not requested:
        return
    if wish:
        yield f"stage {stage.name}: runs on Python {wish.python}, since {wish.why}, and not in the request's image"
    elif not stage.python and pipeline.python and visible(requested) not in ("", pipeline.python):
        yield f"{pipeline.python_place} is {pipeline.python}, but the request's image wins, and {requested} has another"
