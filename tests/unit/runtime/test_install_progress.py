"""What a build says of itself while uv says nothing."""

import re

import pytest

from controller.runtime.install_progress import Progress


@pytest.mark.parametrize(
    ("lines", "doing"),
    [
        ([], "choosing versions"),
        (["Resolved 3 packages in 1.38s"], "downloading 3 packages"),
        (["Resolved 3 packages in 1.38s", "Downloading torch (750.1MiB)"], "downloading torch (750.1MiB)"),
        (["Downloading a (3MiB)", "   Building b==1.0", " Downloaded a"], "building from source: b==1.0"),
        (["   Building b==1.0", "      Built b==1.0", "Prepared 1 package in 2s"], "writing 1 package"),
        (
            [f"Downloading p{number} (1MiB)" for number in range(5)],
            r"downloading p0 \(1MiB\), .*p2 \(1MiB\) and 2 more",
        ),
    ],
)
def test_what_is_under_way_is_known_from_what_uv_says(lines: list[str], doing: str) -> None:
    progress = Progress()
    with progress.step("choosing versions"):
        for line in lines:
            progress.hear(f"{line}\n")
        pattern = doing if "\\" in doing else re.escape(doing)
        assert re.fullmatch(rf"{pattern}, \d+ s", progress.doing())


def test_a_compilation_is_announced(capfd: pytest.CaptureFixture[str]) -> None:
    Progress().hear("   Building pandas==1.0.5\n")
    assert capfd.readouterr().out == "coachwork: pandas==1.0.5 is built from source: this can take minutes\n"


def test_silence_is_broken(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.runtime.install_progress.FIRST", 0.01)
    progress, said = Progress(), ""
    with progress.step("choosing versions"):
        assert capfd.readouterr().out.startswith("coachwork: choosing versions\n")
        while said.count("coachwork: still choosing versions, 0 s\n") < 2:
            said += capfd.readouterr().out
