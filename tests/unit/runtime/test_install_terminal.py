"""What uv says and draws on a terminal, taken apart."""

import subprocess
import sys

import pytest

from controller.runtime.install_terminal import COLUMNS, Download, Terminal

SHOW = "import sys, os\nfor piece in eval(sys.argv[1]): os.write(1, piece.encode())"
CLEAR, UP = "\r\x1b[2K", "\x1b[1A\r\x1b[2K\x1b[1B\r\x1b[2K\x1b[1A"


def row(text: str, shown: int = 0) -> str:
    return text + " " * (COLUMNS - (shown or len(text)))


PREPARING = row("⠙ Preparing packages... (3/5)")
TORCH = row("torch   ------------------------------ 16.00 MiB/750.00 MiB")
SMALL = row("tzdata  ------------------------------ 16.00 KiB/90.68 KiB")
BUILDING = row("   \x1b[36m\x1b[1mBuilding\x1b[0m\x1b[39m docopt\x1b[2m==0.6.2\x1b[0m", 25)


@pytest.mark.parametrize(
    ("pieces", "lines", "downloads", "count", "choosing"),
    [
        (["Resolved 5 packages in 2s\nInst", "alled\n"], ["Resolved 5 packages in 2s", "Installed"], {}, (0, 0), ""),
        (["error: no end"], ["error: no end"], {}, (0, 0), ""),
        (["10 %\r20 %\n\n"], ["10 %", "20 %", ""], {}, (0, 0), ""),
        ([row("⠹ pandas==3.1.1"), CLEAR], [], {}, (0, 0), "pandas==3.1.1"),
        ([row("⠹ Resolving dependencies..."), CLEAR], [], {}, (0, 0), ""),
        ([row("░" * 20 + " [2/5] numpy==2.4.6"), CLEAR], [], {}, (2, 5), ""),
        (
            [PREPARING + TORCH[:20], TORCH[20:] + SMALL + UP[:3], UP[3:]],
            ["Downloading torch (750.0MiB)"],
            {"torch": Download(16 << 20, 750 << 20), "tzdata": Download(16 << 10, 92856)},
            (3, 5),
            "",
        ),
        (
            [PREPARING + TORCH, UP, PREPARING, CLEAR],
            ["Downloading torch (750.0MiB)", " Downloaded torch"],
            {},
            (3, 5),
            "",
        ),
        (
            [BUILDING + PREPARING, UP, BUILDING + PREPARING + UP + BUILDING.replace("Building", "Built", 1), CLEAR],
            ["   Building docopt==0.6.2", "      Built docopt==0.6.2"],
            {},
            (0, 0),
            "",
        ),
        ([PREPARING + TORCH + "warning: an index is slow\n"], ["warning: an index is slow"], {}, (0, 0), ""),
        ([row("a bar that nobody knows"), CLEAR, "Done\n"], ["Done"], {}, (0, 0), ""),
    ],
)
def test_lines_are_whole_and_bars_are_read(
    pieces: list[str], lines: list[str], downloads: dict[str, Download], count: tuple[int, int], choosing: str
) -> None:
    terminal = Terminal()
    shown = subprocess.Popen([sys.executable, "-c", SHOW, repr(pieces)], stdout=terminal.output)
    found = [line for line in terminal.lines() if line is not None]
    terminal.close()
    assert shown.wait() == 0
    assert found == [f"{line}\n" for line in lines]
    assert (terminal.downloads, (terminal.done, terminal.of), terminal.choosing) == (downloads, count, choosing)


def test_a_long_line_without_an_end_is_passed_on_whole_and_read_once() -> None:
    length = 8 << 20  # which took minutes where it was read again with each piece
    terminal = Terminal()
    script = f"import sys; sys.stdout.write('x' * {length})"
    shown = subprocess.Popen([sys.executable, "-c", script], stdout=terminal.output)
    assert [len(line) for line in terminal.lines() if line] == [length + 1]
    terminal.close()
    assert shown.wait() == 0
