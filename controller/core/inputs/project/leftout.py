"""What of a project a batch stage does without where stages are reused, so that nothing counts that it can't see.

A stage's inputs are all files of its project but these: documents, what Coachwork alone reads, and what belongs to
other stages, unless the stage imports it.
"""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath

from controller.core.inputs.project import modules
from controller.core.inputs.project.from_ini import CONFIG
from controller.core.inputs.project.reading import Reading
from controller.core.model import Batch, Pipeline, Stage

MOST = 300  # documents; more of them count like other files
DOCUMENT = re.compile(r"(readme|changelog|contributing|licen[cs]e)(\.(md|rst|txt))?", re.IGNORECASE)
OF_GIT = re.compile(r"\.git(?!attributes$)[^/]*")  # .gitignore, .github; attributes say how files are written


def reusing(pipeline: Pipeline, main: str, reading: Reading) -> Pipeline:
    """Return the pipeline with what each batch stage does without; `main` is the project's own file."""
    files = [path for path in reading.tree.files if DOCUMENT.fullmatch(posixpath.basename(path))]
    common = [main, *islice(sorted(files), MOST), *_of_git(reading)]
    stages = {
        name: replace(stage, left_out=tuple(sorted({*common, *_of_others(stage, pipeline, reading)})))
        if isinstance(stage.work, Batch)
        else stage
        for name, stage in pipeline.stages.items()
    }
    return replace(pipeline, stages=stages)


def _of_git(reading: Reading) -> Iterator[str]:
    tops = {path.partition("/")[0] for path in reading.tree.files}
    return filter(OF_GIT.fullmatch, tops)


def _of_others(stage: Stage, pipeline: Pipeline, reading: Reading) -> Iterator[str]:
    """Yield the folders of other stages; of one that is not that stage's alone, its script."""
    script = posixpath.normpath(posixpath.join(stage.folder, stage.script))
    used = [PurePosixPath(path) for path in (script, *modules.reached(script, reading))]
    for other in pipeline.stages.values():
        if not pipeline.is_yaml:
            yield posixpath.normpath(posixpath.join(other.folder, CONFIG))
        folder = PurePosixPath(other.folder)
        shared = PurePosixPath(stage.folder).is_relative_to(folder)
        theirs = folder / other.script if shared else folder
        if not any(path.is_relative_to(theirs) for path in used):
            yield str(theirs)
