"""A notebook as a stage: what its log, its cause and its copies in the artifacts say, however it ends."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.freeport import free_port
from tests.support.launching import Ended, Stage, wait_for
from tests.support.notebooks import PIXEL, STALE, notebook

SECRET = "s3cr<t & long"  # in HTML it is written otherwise
NONE = "not a notebook that Jupyter reads"
AGAIN = "; not tried again: it would end the same"


@pytest.fixture
def stage(stage: Stage) -> Stage:
    stage.env = {"COACHWORK_ARTIFACTS": str(stage.root / "artifacts"), "COACHWORK_STAGE": "fit", "TOKEN": SECRET}
    stage.order = {"script": "train.ipynb", "secrets": ["TOKEN"], "limit": 100, "grace": 50}
    return stage


def run(stage: Stage, *cells: str, tags: dict[int, str] | None = None, **order: Any) -> Ended:
    stage.file("train/train.ipynb", notebook(*cells, tags=tags))
    return stage.run(**order)


def kept(stage: Stage) -> list[dict[str, Any]]:
    """Return the code cells of the notebook that is kept, in which no secret is."""
    folder = stage.root / "artifacts/notebooks"
    assert sorted(path.name for path in folder.iterdir()) == ["fit.html", "fit.ipynb"]
    texts = [path.read_text() for path in folder.iterdir()]
    assert not [text for text in texts if "s3cr" in text or STALE in text]
    assert "<h1" in (folder / "fit.html").read_text()
    return [cell for cell in json.loads((folder / "fit.ipynb").read_text())["cells"] if cell["cell_type"] == "code"]


def said(cell: dict[str, Any]) -> str:
    return "".join(line for output in cell["outputs"] for line in output.get("text", []))


def test_a_notebook_runs_cell_by_cell_with_its_parameters_and_is_kept_without_secrets(stage: Stage) -> None:
    stage.file("shared/rows.py", "ROWS = 3")
    stage.env |= {"ALPHA": "0.5", "NAME": "7", "QUICK": "false", "OTHER": "9", "LIMIT": "90"}
    picture = f"display({{'image/png': {PIXEL!r}, 'text/plain': 'a picture'}}, raw=True)"
    widget = "display({'application/vnd.jupyter.widget-view+json': {'model_id': 'x'}, 'text/plain': '0%|'}, raw=True)"
    ended = run(
        stage,
        "ALPHA = 0.1\nNAME = 'x'\nQUICK: bool = True\nLIMIT = 60 * 60\nOTHER = 1",
        "import json, os, sys\nfrom shared.rows import ROWS\n"
        "print((ALPHA, NAME, QUICK, LIMIT, OTHER, ROWS, sys.argv[1:]))",
        "print(os.environ['TOKEN'], end='', flush=True)\nprint('!' + os.environ['TOKEN'])\nos.environ['TOKEN']",
        f"{picture}\n{widget}",
        "json.dump({'rows': ROWS}, open(os.environ['COACHWORK_METRICS'], 'w'))",
        "'the' + ' last'",
        tags={1: "parameters"},
        args=["--fast"],
        parameters=["ALPHA", "NAME", "QUICK", "LIMIT"],
    )
    assert ended.code == 0, ended.text
    assert (ended.message["reason"], ended.results[1]["metrics"]) == ("Completed", {"rows": 3})
    shown = [
        "cell 1 of 6: ALPHA = 0.1",
        "(0.5, '7', False, 90, 1, 3, ['--fast'])",
        "***!***",
        "'***'",
        "a picture",
        "0%|",
    ]
    assert re.search(".*".join(map(re.escape, [*shown, "cell 6 of 6: 'the'", "the last"])), ended.text, re.DOTALL)
    assert STALE not in ended.text
    cells = kept(stage)
    assert [cell["execution_count"] for cell in cells if "injected" not in str(cell["metadata"])] == [1, 2, 3, 4, 5, 6]
    assert said(cells[3]) == "***!***\n"
    page = (stage.root / "artifacts/notebooks/fit.html").read_text()
    assert PIXEL in page
    assert "0%|" in page


@pytest.mark.parametrize(
    ("cells", "code", "start", "end"),
    [
        (
            ("def f(x):\n    return 1 / x", "y = 2\nf(0)", "print('never')"),
            1,
            "train/train.ipynb, cell 1, line 2: ZeroDivisionError: division by zero",
            "",
        ),
        (
            ("import os", "os.kill(os.getpid(), 9)"),
            137,
            "train/train.ipynb: was killed by SIGKILL",
            ": cell 2 was running: os.kill(os.getpid(), 9)",
        ),
        (
            ("input('rows? ')",),
            121,
            "train/train.ipynb, cell 1, line 1: IPython.core.error.StdinNotImplementedError: ",
            f"`[env]` or `--set` gives){AGAIN}",
        ),
        pytest.param(
            ("import nosuchmodule",),
            121,
            "train/train.ipynb, cell 1, line 1: ModuleNotFoundError: No module named 'nosuchmodule' (",
            AGAIN,
            marks=pytest.mark.long,
        ),
        pytest.param(
            ("x = 1", "x = = 2"), 121, "train/train.ipynb, cell 2, line 1: SyntaxError", AGAIN, marks=pytest.mark.long
        ),
        pytest.param(
            ("try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('bad') from e",),
            1,
            "train/train.ipynb, cell 1, line 4: ValueError: bad, caused by KeyError: 'a' (train/train.ipynb, cell 1, l",
            "",
            marks=pytest.mark.long,
        ),
        pytest.param(
            ("%nosuch",), 1, "train/train.ipynb, cell 1, line 1: UsageError: Line magic", "", marks=pytest.mark.long
        ),
        pytest.param(
            ("import sys; print('bye'); sys.exit(-3)", "print('never')"),
            253,
            "train/train.ipynb: exited with code 253: bye",
            "",
            marks=pytest.mark.long,
        ),
        pytest.param(("quit()", "print('never')"), 0, "train/train.ipynb: completed", "", marks=pytest.mark.long),
        pytest.param(
            ("import os; os._exit(7)",),
            7,
            "train/train.ipynb: exited with code 7: cell 1 was running: import os",
            "",
            marks=pytest.mark.long,
        ),
    ],
)
def test_the_end_of_a_notebook_is_explained_by_its_cell(
    stage: Stage, cells: tuple[str, ...], code: int, start: str, end: str
) -> None:
    ended = run(stage, *cells)
    assert (ended.code, ended.message["message"][: len(start)]) == (code, start), ended.text
    assert ended.message["message"].endswith(end)
    assert not [line for line in ended.text.splitlines() if line == "never"]
    assert len(kept(stage)) == len(cells)


@pytest.mark.long
def test_a_cell_that_may_fail_ends_nothing(stage: Stage) -> None:
    tags = {1: "raises-exception", 2: "skip-execution"}
    ended = run(stage, "1/0", "print('never')", "print('went on')", tags=tags)
    assert "cell 2 of 2: print('went on')" in ended.text
    assert (ended.code, ended.text.count("\nwent on\n")) == (0, 1)
    assert [output["ename"] for output in kept(stage)[0]["outputs"]] == ["ZeroDivisionError"]


def test_a_notebook_that_is_stopped_says_in_which_cell_and_is_kept(stage: Stage) -> None:
    stage.file("train/train.ipynb", notebook("print('one')", "import time\nprint('hangs')\ntime.sleep(600)"))
    process = stage.start()
    wait_for(lambda: b"\nhangs" in stage.log(), "the second cell")
    process.send_signal(signal.SIGTERM)
    ended = stage.end(process)
    assert (ended.code, ended.message["reason"]) == (143, "Terminated")
    assert "\ncell 2 was running: import time\n" in ended.text
    assert [said(cell) for cell in kept(stage)] == ["one\n", "hangs\n"]


@pytest.mark.long
def test_a_cell_that_hangs_is_the_cause_once_its_time_is_over(stage: Stage) -> None:
    ended = run(stage, "print('one')", "import time\ntime.sleep(600)", limit=30)
    assert (ended.code, ended.message["reason"]) == (124, "TimedOut"), ended.text
    late = "train/train.ipynb: not done within 30 s (MAX_COMPLETION_TIME_SECONDS: raise it if it only needs longer)"
    assert ended.message["message"] == f"{late}: it last said: cell 2 was running: import time"
    assert said(kept(stage)[0]) == "one\n"


def test_a_service_answers_from_a_cell_and_keeps_no_notebook(stage: Stage) -> None:
    port = free_port()
    serve = "http.server.HTTPServer(('0.0.0.0', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler)"
    stage.env["PORT"] = str(port)
    stage.file("train/train.ipynb", notebook("import http.server, os", f"{serve}.serve_forever()"))
    process = stage.start(kind="service", port=port)
    wait_for(lambda: f"answers on port {port}".encode() in stage.log(), "an answer")
    process.send_signal(signal.SIGTERM)
    assert stage.end(process).code == 143
    assert not (stage.root / "artifacts").exists()


def test_what_is_cut_off_is_not_cut_within_a_secret(stage: Stage) -> None:
    ended = run(stage, "import os\nprint('x' * (2**20 - 4) + os.environ['TOKEN'])")
    assert ended.code == 0, ended.text[-2000:]
    (cell,) = kept(stage)
    assert said(cell).endswith("(the notebook keeps no more of this; the log has it)\n")


@pytest.mark.long
def test_a_flood_in_a_cell_is_kept_in_part_and_holds_up_nothing(stage: Stage) -> None:
    ended = run(stage, "for n in range(60_000): print('x' * 100)", "print('after')", log_cap=1 << 20)
    assert ended.code == 0, ended.text[-2000:]
    (flood, after) = kept(stage)
    assert 1 << 20 <= len(said(flood)) < (1 << 20) + 200
    assert said(flood).endswith("(the notebook keeps no more of this; the log has it)\n")
    assert said(after) == "after\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{}", f"{NONE}: "),
        (notebook("1").replace('"source": "1"', '"source": null'), f"{NONE}: AttributeError: "),
        (notebook("1", language="R"), "a notebook in R, and only those in Python run"),
    ],
)
def test_what_is_not_a_notebook_of_python_says_so(stage: Stage, text: str, why: str) -> None:
    stage.file("train/train.ipynb", text)
    ended = stage.run()
    assert ended.code == 1
    assert ended.message["message"].startswith(f"train/train.ipynb: exited with code 1: {why}")


@pytest.mark.long
def test_each_index_of_a_parallel_stage_has_its_parameters_and_its_copy(stage: Stage) -> None:
    stage.env["COACHWORK_INDEX"] = "1"
    each = [["ALPHA", ["0.1", "0.2"]]]
    ended = run(stage, "ALPHA = 0.5", "print('is', ALPHA)", tags={1: "parameters"}, indexes=2, each=each)
    assert (ended.code, ended.text.count("\nis 0.2\n")) == (0, 1), ended.text
    kept = stage.root / "artifacts/fit/1"
    assert sorted(path.name for path in kept.iterdir()) == ["fit.html", "fit.ipynb", "index.json"]


@pytest.mark.long
def test_a_kernel_that_can_not_start_is_explained_by_its_own_words(stage: Stage) -> None:
    stage.file("ipykernel/__init__.py", "raise ImportError('no traitlets of this name')")
    ended = run(stage, "print('never')")
    assert ended.code == 1, ended.text
    cause = "ipykernel/__init__.py:1: exited with code 1: ImportError: no traitlets of this name ("
    assert ended.message["message"].startswith(cause)


def test_a_full_volume_costs_the_copy_and_not_the_stage(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("no folder")
    ended = run(stage, "print('done')")
    assert (ended.code, ended.message["reason"]) == (0, "Completed")
    assert "the notebook that has run is not kept: " in ended.text
