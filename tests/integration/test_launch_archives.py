"""Packages whose archives lead elsewhere: nothing outside of the build is new or changed after uv has unpacked them."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.building import Builder
from tests.support.launching import wheel

pytestmark = pytest.mark.long
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
BACKEND = """
import os, shutil
def build_wheel(target, *args, **kwargs):
    name = "evil-1.0-py3-none-any.whl"
    shutil.copy("inner.whl", os.path.join(target, name))
    return name
"""


def _zipped(name: str, content: str, kind: int = stat.S_IFREG) -> Callable[[zipfile.ZipFile], None]:
    def add(archive: zipfile.ZipFile) -> None:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (kind | 0o755) << 16
        archive.writestr(entry, content)

    return add


def _tarred(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[tarfile.TarFile], None]:
    def add(archive: tarfile.TarFile) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, link
        entry.size = 4 if kind == tarfile.REGTYPE else 0
        archive.addfile(entry, io.BytesIO(b"evil"))

    return add


UP = "../" * 30
WHEELS: dict[str, Callable[[Path], list[Callable[[zipfile.ZipFile], None]]]] = {
    "up": lambda out: [_zipped(f"{UP}{out}/new", "evil")],
    "absolute": lambda out: [_zipped(f"{out}/new", "evil")],
    "scripts": lambda out: [_zipped(f"evil-1.0.data/scripts/{UP}{out}/new", "#!python\n")],
    "data": lambda out: [_zipped(f"evil-1.0.data/data/{UP}{out}/new", "evil")],
    "through a link": lambda out: [_zipped("way", str(out), stat.S_IFLNK), _zipped("way/new", "evil")],
    "backslashes": lambda out: [_zipped(f"{UP}{out}/new".replace("/", "\\"), "evil")],
}
SDISTS: dict[str, Callable[[Path], list[Callable[[tarfile.TarFile], None]]]] = {
    "up": lambda out: [_tarred(f"evil-1.0/{UP}{out}/new")],
    "absolute": lambda out: [_tarred(f"{out}/new")],
    "through a link": lambda out: [_tarred("evil-1.0/way", tarfile.SYMTYPE, str(out)), _tarred("evil-1.0/way/new")],
    "a link up": lambda out: [_tarred("evil-1.0/way", tarfile.SYMTYPE, f"{UP}{out}"), _tarred("evil-1.0/way/new")],
    "over a link": lambda out: [_tarred("evil-1.0/way", tarfile.SYMTYPE, f"{out}/kept"), _tarred("evil-1.0/way")],
    "over a hard link": lambda out: [_tarred("evil-1.0/way", tarfile.LNKTYPE, f"{out}/kept"), _tarred("evil-1.0/way")],
    "a device": lambda _: [_tarred("evil-1.0/way", tarfile.CHRTYPE)],
    "a pipe": lambda _: [_tarred("evil-1.0/way", tarfile.FIFOTYPE)],
}


def _build(builder: Builder, outside: Path) -> None:
    """Build: nothing outside is new or changed, and one line says why it failed, if it did."""
    ended = builder.run("evil\n")
    assert sorted(path.name for path in outside.iterdir()) == ["kept"]
    assert (outside / "kept").read_text() == "kept"
    assert all(path.is_file() or path.is_dir() or path.is_symlink() for path in builder.build.rglob("*"))
    if ended.code:
        assert (ended.code, ended.message["reason"]) == (121, "InstallFailed"), ended.text
        assert "\n" not in ended.message["message"]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "kept").write_text("kept")
    return folder


@pytest.mark.parametrize("name", WHEELS)
def test_a_wheel_is_unpacked_into_its_environment_and_nowhere_else(builder: Builder, outside: Path, name: str) -> None:
    with zipfile.ZipFile(wheel(builder.index, "evil", "1.0", ""), "a") as archive:
        for add in WHEELS[name](outside):
            add(archive)
    _build(builder, outside)


@pytest.mark.parametrize("name", SDISTS)
def test_an_sdist_is_unpacked_into_its_build_and_nowhere_else(builder: Builder, outside: Path, name: str) -> None:
    inner = wheel(builder.root / "inner", "evil", "1.0", "")
    with tarfile.open(builder.index / "evil-1.0.tar.gz", "w:gz") as archive:
        for file, content in {
            "PKG-INFO": b"Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
            "pyproject.toml": f'{PROJECT}[project]\nname = "evil"\nversion = "1.0"\n'.encode(),
            "backend.py": BACKEND.encode(),
            "inner.whl": inner.read_bytes(),
        }.items():
            entry = tarfile.TarInfo(f"evil-1.0/{file}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for add in SDISTS[name](outside):
            add(archive)
    _build(builder, outside)
