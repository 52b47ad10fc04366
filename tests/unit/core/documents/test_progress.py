"""How far a build is, read from what its installer left: anything but hostile is shown."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.core.documents.progress import Download, Progress, read

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SAID: dict[str, Any] = {
    "version": 1,
    "step": "downloading 5 packages",
    "doing": "3 of 5 packages: downloading torch (16.0 of 750.0 MiB)",
    "since": "2026-01-01T11:59:40.000Z",
    "done": 3,
    "of": 5,
    "downloads": [{"name": "torch", "got": 16, "size": 750}],
    "written": "2026-01-01T11:59:59.500Z",
}


def test_what_a_build_says_is_read() -> None:
    downloads = (Download("torch", 16, 750),)
    assert read(json.dumps(SAID), NOW) == Progress(SAID["step"], SAID["doing"], SAID["since"], 3, 5, downloads)


def test_a_later_installer_may_say_more() -> None:
    assert read(json.dumps(SAID | {"later": {}}), NOW) == read(json.dumps(SAID), NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[]",
        "null",
        "[" * 5000,
        json.dumps(SAID | {"done": "3"}),
        json.dumps(SAID | {"done": 10**400}),
        json.dumps(SAID | {"downloads": [{"name": "torch", "got": 1, "size": 10**400}]}),
        json.dumps(SAID | {"downloads": [1]}),
        json.dumps(SAID | {"written": "2026-01-01T11:58:00Z"}),
        json.dumps(SAID | {"written": "tomorrow"}),
        json.dumps({key: value for key, value in SAID.items() if key != "written"}),
    ],
)
def test_what_is_old_or_of_another_shape_says_nothing(text: str) -> None:
    assert read(text, NOW) is None


def test_hostile_words_are_one_printable_line() -> None:
    hostile = "\x1b[2Ja\nb https://me:secret@host/ " + "x" * 9000
    found = read(json.dumps(SAID | {"doing": hostile, "downloads": [{"name": hostile, "got": -1, "size": -1}]}), NOW)
    assert found
    for words in (found.doing, found.downloads[0].name):
        assert words.startswith("a b https://***@host/ xx")
        assert words.isprintable()
        assert len(words) <= 1024
    assert (found.downloads[0].got, found.downloads[0].size) == (0, 0)
