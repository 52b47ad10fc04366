"""Artifacts are unpacked below the folder that was named, or not at all."""

import io
import tarfile
from pathlib import Path

import pytest

from controller.cli.artifacts import unpack


def archive(*items: tuple[str, bytes, dict[str, object]]) -> io.BytesIO:
    """Return an archive of these entries: name, content, and further attributes of each."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, more in items:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for key, value in more.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(content))
    return io.BytesIO(whole.getvalue())


def test_plain_files_come_whole_and_with_their_times(tmp_path: Path) -> None:
    times: dict[str, object] = {"mtime": 1_700_000_000.5}
    unpack(archive(("a/b/model", b"x" * 100_000, times), ("empty", b"", {"mtime": -5})), tmp_path / "to")
    assert (tmp_path / "to/a/b/model").read_bytes() == b"x" * 100_000
    assert (tmp_path / "to/a/b/model").stat().st_mtime == 1_700_000_000.5
    assert (tmp_path / "to/empty").stat().st_mtime == 0


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "a//x", "./x", ".", "..", "", "a/."])
def test_no_name_leads_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(tarfile.TarError, match="not a plain file"):
        unpack(archive((name, b"x", {})), tmp_path / "to")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_what_the_controller_never_sends_is_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(tarfile.TarError, match="not a plain file"):
        unpack(archive(("x", b"", {"type": kind, "linkname": "/etc/passwd"})), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_was_there_does_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to/link").symlink_to(tmp_path)
    (tmp_path / "to/file").symlink_to(tmp_path / "outside")
    for name in ("link/x", "file"):
        with pytest.raises(tarfile.TarError):
            unpack(archive((name, b"x", {})), tmp_path / "to")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["to"]


@pytest.mark.parametrize("mtime", ["nan", "inf", "-inf", "1e300"])
def test_no_time_is_a_defect(tmp_path: Path, mtime: str) -> None:
    unpack(archive(("x", b"x", {"pax_headers": {"mtime": mtime}})), tmp_path)
    assert (tmp_path / "x").read_bytes() == b"x"


def test_an_archive_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    whole = archive(("x", b"x" * 100_000, {})).getvalue()
    for length in (600, 1024, 50_000):
        with pytest.raises(tarfile.TarError):
            unpack(io.BytesIO(whole[:length]), tmp_path)
