"""Compiling what is published already."""

import os
import sys
from pathlib import Path

import pytest

from controller.runtime import install_compile, install_uv, stage_environment
from controller.runtime.install_progress import Progress


def test_an_environment_is_compiled_where_a_pod_no_longer_sees_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = tmp_path / "environment"
    module = Path(install_uv.packages_folder(str(environment))) / "package" / "module.py"
    module.parent.mkdir(parents=True)
    module.write_text("A = 1\n")
    (environment / stage_environment.UNCOMPILED).touch()

    def nowhere() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.chdir(tmp_path)  # and back
    monkeypatch.setattr(os, "getcwd", nowhere)
    monkeypatch.setattr(sys, "pycache_prefix", sys.pycache_prefix)
    folder = os.open(environment, os.O_RDONLY)
    install_compile.compile_modules(folder, "/environments/0a", Progress(str(tmp_path / "progress.json")))
    os.close(folder)
    assert [*module.parent.glob("__pycache__/module.*.pyc")]
    assert not (environment / stage_environment.UNCOMPILED).exists()
