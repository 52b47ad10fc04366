"""The projects in tests/projects, each with the day of its commit and what it does when all is well."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.gitserver import CLEAN

FOLDER = Path(__file__).parents[1] / "projects"
WHO = {f"GIT_{role}_{what}": "ada@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@dataclass(frozen=True)
class OldProject:
    """One project; `pythons` by stage, `says` the last line that a stage prints, `warns` parts of its warnings."""

    folder: str
    name: str
    day: str  # of its last commit
    pythons: Mapping[str, str]
    says: Mapping[str, str]
    warns: tuple[str, ...] = ()

    def files(self) -> dict[str, str]:
        """Give its files by their names."""
        root = FOLDER / self.folder
        return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}

    def committed(self, folder: Path) -> Path:
        """Give a repository that holds it, committed on its day."""
        shutil.copytree(FOLDER / self.folder, folder)
        env = {**os.environ, **CLEAN, **WHO, "GIT_COMMITTER_DATE": f"{self.day}T12:00:00Z"}
        for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "as it was"]):
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
    ),
    OldProject(
        "yaml-1.1-2023",
        "orchard",
        "2023-02-10",
        _each("3.9", "count", "orchard-api", "ask"),
        {"count": "pandas 1.5.3: 13 fruits", "ask": "four apples cost 8, says pydantic 1"},
        ("packages are those of 2023-02-10",),
    ),
    OldProject(
        "ini-two-pythons",
        "lighthouse",
        "2022-06-01",
        {"keep": "3.10", "renew": "3.12", "mourn": "3.10"},
        {"keep": "kept on Python 3.10: numpy 1.22.4, markupsafe 2.0.1", "renew": "renewed on Python 3.12: numpy 2"},
    ),
    OldProject(
        "yaml-1.1-day",
        "almanac",
        "2023-06-01",
        {"publish": "3.10"},
        {"publish": "flask 2.1.2, werkzeug 2.1.2, pandas 1.4.2, numpy 1.22.4"},
    ),
)
