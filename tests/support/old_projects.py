"""The projects in tests/projects: the day of each one's commit, what it does, and how it fails."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.gitserver import CLEAN

FOLDER = Path(__file__).parents[1] / "projects"
WHO = {f"GIT_{role}_{what}": "ada@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@dataclass(frozen=True)
class Failure:
    """How a run of `stage` alone ends ("": of all stages, and first): parts of the line that says why."""

    stage: str
    told: tuple[str, ...]
    reason: str = "Failed"


@dataclass(frozen=True)
class OldProject:
    """One project; `pythons` by stage, `says` the last line that a stage prints, `warns` parts of its warnings."""

    folder: str
    name: str
    day: str  # of its last commit
    pythons: Mapping[str, str]
    says: Mapping[str, str] = field(default_factory=dict)
    warns: tuple[str, ...] = ()
    advised: str = ""  # by `validate`
    plans: tuple[str, ...] = ()  # parts of its manifests
    serves: str = ""  # at the one address that is its service's own
    fails: tuple[Failure, ...] = ()
    forced: tuple[str, ...] = ()  # files that git ignores and that `git add -f` has staged
    unreachable: str = ""  # which `plan` says, too
    long: bool = False  # its packages are large

    def files(self) -> dict[str, str | bytes]:
        """Return its files by their names."""
        root = FOLDER / self.folder
        return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}

    def committed(self, folder: Path) -> Path:
        """Return a repository that holds it, committed on its day."""
        shutil.copytree(FOLDER / self.folder, folder)
        env = {**os.environ, **CLEAN, **WHO, "GIT_COMMITTER_DATE": f"{self.day}T12:00:00Z"}
        commit = ["commit", "--quiet", "--message", "as it was"]
        force = [["add", "--force", *self.forced]] if self.forced else []
        for command in (["init", "--quiet"], ["add", "--all"], commit, *force):
            subprocess.run(["git", "-C", str(folder), *command], env=env, check=True, timeout=60)
        return folder


def _each(python: str, *stages: str) -> dict[str, str]:
    return dict.fromkeys(stages, python)


PROJECTS = (
    OldProject(
        "ini-2021",
        "tides",
        "2021-02-01",
        _each("3.8", "stage_1_fit", "stage_2_serve", "stage_3_probe"),
        {
            "stage_1_fit": "numpy 1.19.5, pandas 1.1.4: mean level",
            "stage_3_probe": "at five the level is 2.5 m",
        },
        (
            "which had Python 3.7: its stages get 3.8",
            "packages are those of 2021-02-01",
        ),
    ),
    OldProject(
        "yaml-1.0-2022",
        "harbour",
        "2022-11-20",
        _each("3.8", "fit", "serve", "report"),
        {"fit": "scikit-learn 0.23.2 on numpy 1.23.5, Python 3.8: 10 ships", "report": "10 ships are expected"},
        (
            "stages.abandoned: is not in the DAG",
            "stages serve, report: packages are those of 2022-02-17 (RESOLVE_AS_OF = commit",
            "the requirements last changed on 2022-11-20, and their pins worked until 2022-02-17",
        ),
        long=True,
    ),
    OldProject(
        "yaml-1.1-2023",
        "orchard",
        "2023-02-10",
        _each("3.9", "count", "orchard-api", "ask"),
        {"count": "pandas 1.5.3: 13 fruits", "ask": "four apples cost 8, says pydantic 1"},
        ("packages are those of 2023-02-10",),
        long=True,
    ),
    OldProject(
        "ini-two-pythons",
        "lighthouse",
        "2022-06-01",
        {"keep": "3.10", "renew": "3.12", "mourn": "3.10"},
        {"keep": "kept on Python 3.10: numpy 1.22.4, markupsafe 2.0.1", "renew": "renewed on Python 3.12: numpy 2"},
        long=True,
    ),
    OldProject(
        "yaml-1.1-day",
        "almanac",
        "2023-06-01",
        {"publish": "3.10"},
        {"publish": "flask 2.1.2, werkzeug 2.1.2, pandas 1.4.2, numpy 1.22.4"},
        long=True,
    ),
    OldProject(
        "yaml-1.0-berths",
        "berths",
        "2022-03-01",
        _each("3.9", "load", "scoring-service", "ask"),
        {"load": "2 berths, token: None", "ask": "a ship of 100 m goes south"},
        ("stage load: written files are discarded with the stage's copy of the repository: berths/longest.txt",),
        plans=(
            "name: scoring-service\n",
            "COACHWORK_PATH_SCORING_SERVICE\n          value: /coachwork/berths--scoring-",
        ),
        serves="service scoring-service: http://127.0.0.1:5872",
        forced=("data/berths.csv",),
    ),
    OldProject(
        "yaml-1.1-source",
        "masonry",
        "2024-02-01",
        _each("3.12", "lay", "show"),
        {"lay": "laid with markupsafe 2.0.1", "show": "shown in granite"},
        (
            "no wheel for Python 3.12: `markupsafe==2.0.1` (bodywork.yaml: stages.lay.requirements)",
            'for Python 3.8, 3.9, 3.10: write python: "3.10"',
            "stage show: the script listens on 127.0.0.1:5873 only",
            "stage show: show.py relies on /tmp/coachwork-masonry.txt: on a cluster each stage has a /tmp of its own",
        ),
    ),
    OldProject(
        "ini-plain",
        "plain",
        "2022-11-20",
        _each("3.9", "greet"),
        advised="greet/requirements.txt:1: flask==1.1.2 does not work with itsdangerous 2.1 and later (it removed what "
        "flask imports): write RESOLVE_AS_OF = 2022-02-17 in [default] of bodywork.ini, or pin ",
    ),
    OldProject(
        "ini-mishaps",
        "mishaps",
        "2022-01-10",
        _each("3.8", "tide_api", "lost_import", "lost_file", "lost_host"),
        fails=(
            Failure("", ("lost_import/main.py:3: ", "look up its name and add that to lost_import/requirements.txt")),
            Failure("lost_file", ("lost_file/main.py:1: ", "git ignores it", "`git add -f lost_file/levels.csv`")),
            Failure("lost_host", ("`bodywork-mishaps--tide-api.ml` is not a name here", "at COACHWORK_URL_TIDE_API, ")),
        ),
    ),
    OldProject(
        "yaml-1.1-unlike",
        "unlike",
        "2024-06-01",
        _each("3.9", "pack", "unpack"),
        fails=(
            Failure(
                "",
                (
                    "stage unpack: unpack.py:5: exited with code 1: AttributeError: Can't get attribute 'soft_unicode'",
                    "it was written with another version of markupsafe, and here is 2.1.5",
                    "asked for: `markupsafe==2.0.1` (bodywork.yaml:9), `markupsafe==2.1.5` (bodywork.yaml:13)",
                ),
            ),
        ),
    ),
    OldProject(
        "yaml-1.1-far",
        "far",
        "2023-03-01",
        _each("3.9", "fetch"),
        unreachable="bodywork.yaml: stages.fetch.requirements (stage fetch): repository http://127.0.0.1:9/ada/charts",
        fails=(
            Failure(
                "",
                (
                    "bodywork.yaml: stages.fetch.requirements (stage fetch): repository http://127.0.0.1:9/ada/charts.git",
                ),
                "Invalid",
            ),
        ),
    ),
    OldProject(
        "yaml-1.1-abi",
        "girders",
        "2024-08-01",
        _each("3.9", "weld"),
        fails=(
            Failure(
                "",
                (
                    "stage weld: weld.py:3: exited with code 1: ValueError: numpy.dtype size changed",
                    "`pandas` was compiled for another NumPy: pin `numpy<2`",
                    "in the stage's `requirements` in bodywork.yaml",
                    "asked for: `pandas==2.0.3` (bodywork.yaml:9), `numpy==2.0.2` (bodywork.yaml:9)",
                ),
            ),
        ),
        long=True,
    ),
)

REFUSED = {  # all that `validate` says
    "bad-ini": """\
warning: load/config.ini: [batch] RETRY: unknown key, not used: did you mean RETRIES?
warning: load/requirements.txt:2: `pickle` is a part of Python itself, not a package: remove the line
warning: load/requirements.txt:3: `python-3-8` is Python itself, not a package: remove the line; PYTHON chooses the \
version
warning: serve/config.ini: [default] EXECUTABEL_SCRIPT: unknown key, not used: did you mean EXECUTABLE_SCRIPT?
load/requirements.txt:4: is a page for a browser, not a repository: write \
git+https://github.com/ada/charts@main#subdirectory=lib
serve/config.ini: [default] EXECUTABLE_SCRIPT: missing: write a Python file like train.py
serve/config.ini: [service] PORT: expected a port, a whole number from 1 to 65535, got "http"
load/load.py:2: IndentationError: expected an indented block after function definition on line 1: the script can't start
4 problems""",
    "bad-yaml": """\
warning: bodywork.yaml: stages.tidy.batch.retry: unknown key, not used: did you mean retries?
warning: bodywork.yaml: stages.tidy.executable_module: unknown key, not used: did you mean executable_module_path?
warning: bodywork.yaml:15: stages.sweep.requirements: `pickle` is a part of Python itself, not a package: remove the \
line
warning: bodywork.yaml: stages.unused: is not in the DAG: it never runs
bodywork.yaml: stages.tidy.executable_module_path: missing: write a Python file like train.py
bodywork.yaml: stages.sweep.batch.retries: expected a whole number, 0 or more, got "two"
bodywork.yaml:14: stages.sweep.requirements: is a page for a browser, not a repository: write \
git+https://github.com/ada/charts.git#subdirectory=lib
3 problems""",
    "bad-yaml-tab": "bodywork.yaml: line 3, column 1: a tab: YAML takes only spaces there",
    "bad-yaml-colon": "bodywork.yaml: line 4, column 7: no space after the colon: write DAG: and then the value",
    "bad-yaml-indent": (
        "bodywork.yaml: line 4, column 7: not valid YAML: mapping values are not allowed in this context"
    ),
}
