"""What is told of a project's Python files before a stage runs."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from controller.adapters.git import syntax
from controller.adapters.git.syntax import modules
from controller.adapters.git.tree import MAX_MODULE, MAX_SOURCES, ProjectFiles, sources
from controller.core.errors import Invalid
from controller.core.images import DEFAULT_PYTHON, by_default, of_request
from controller.core.inputs.project import load, unread
from controller.core.model import Module, Policy, ProjectTree
from tests.support.notebooks import notebook
from tests.support.projects import BATCH_INI, MAIN_INI, tree

OURS = ".".join(map(str, sys.version_info[:2]))
POLICY = Policy(namespace="test", image="coachwork:dev", claim="coachwork", tools="t0")
LATER = f"3.{sys.version_info[1] + 1}"


def project(sources: dict[str, str], image: str = "", python: str = "") -> ProjectTree:
    """Return a project of one stage, whose Python files are known as far as they are asked for."""
    keys = (f"DOCKER_IMAGE = {image}\n" if image else "") + (f"PYTHON = {python}\n" if python else "")
    texts = {"bodywork.ini": MAIN_INI.replace("[workflow]", f"{keys}[workflow]"), "train/config.ini": BATCH_INI}
    found = tree(texts, *sources)
    while wanted := unread(found):
        known = modules({name: sources[name].encode() for name in wanted.modules})
        found = replace(found, modules={**found.modules, **known})
    return found


def findings(found: ProjectTree) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return problems and warnings where stages that ask for no Python have ours."""
    try:
        return (), load(found, python=by_default(OURS)).warnings
    except Invalid as invalid:
        return invalid.problems, invalid.warnings


EXPECTED = "expected an indented block after 'if' statement on line 2"
INDENTED = "import os\nif os:\nprint(1)\n"


def test_a_script_that_does_not_compile_is_reported_with_its_line() -> None:
    problems, _ = findings(project({"train/main.py": INDENTED}))
    assert problems == (f"train/main.py:3: IndentationError: {EXPECTED}: the script can't start",)
    (line,), _ = findings(project({"train/main.py": "print 1\n"}))
    assert line.startswith("train/main.py:1: SyntaxError: Missing parentheses in call to 'print'.")
    (line,), _ = findings(project({"train/main.py": "x = 1\nreturn x\n"}))
    assert line.startswith("train/main.py:2: SyntaxError: 'return' outside function")


def test_a_module_that_a_script_imports_is_reported_and_one_that_nobody_imports_may_be_as_it_likes() -> None:
    sources = {
        "train/main.py": "import sys\nfrom lib.deep import tools\nimport own\n",
        "train/own.py": "x = (\n",
        "lib/__init__.py": "",
        "lib/deep/__init__.py": "from . import near\nfrom ..far import x\n",
        "lib/deep/tools.py": "",
        "lib/deep/near.py": "print 1\n",
        "lib/far.py": "print 2\n",
        "train/old.py": "print 3\n",
        "lib/old.py": "print 4\n",
    }
    problems, warnings = findings(project(sources))
    assert {line.split(":")[0] for line in problems} == {"train/own.py", "lib/deep/near.py", "lib/far.py"}
    assert all(line.endswith(": train/main.py imports it") for line in problems)
    assert not warnings


def test_a_notebook_is_looked_into_as_far_as_it_is_python() -> None:
    texts = {"bodywork.ini": MAIN_INI, "train/config.ini": BATCH_INI.replace("main.py", "main.ipynb")}

    def seen(text: str | None) -> tuple[str, ...]:
        found = tree(texts, "train/main.ipynb", "train/own.py")
        assert unread(found).modules == ("train/main.ipynb",)
        found = replace(found, modules=modules({"train/main.ipynb": text.encode() if text is not None else None}))
        assert unread(found).modules == (("train/own.py",) if "import own" in (text or "") else ())
        return findings(replace(found, modules={**found.modules, **modules({"train/own.py": b"x = (\n"})}))[0]

    assert seen(notebook("%time import json\n", "!ls", "x = 1")) == ()
    assert seen(None) == ()  # too large to look at
    (line,) = seen(notebook("%%time\nif 1:\n    !ls\nimport own"))
    assert line.startswith("train/own.py:1: SyntaxError: ")
    assert line.endswith(": train/main.ipynb imports it")
    start = "train/main.ipynb:1: "
    for text in ("x = 1", ""):
        assert seen(text) == (
            f"{start}not a notebook: Expecting value: line 1 column 1 (char 0): the script can't start",
        )
    assert seen("[]") == (f"{start}not a notebook: expected what Jupyter saves: the script can't start",)
    refused = f"{start}a notebook in R, and only those in Python run: the script can't start"
    assert seen(notebook("x <- 1", language="R")) == (refused,)


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import broken\nexcept SyntaxError:\n    pass\n",
        "def later():\n    import broken\n",
        "import sys\nif sys.version_info > (4,):\n    import broken\n",
    ],
)
def test_a_module_that_may_never_be_imported_is_not_judged(text: str) -> None:
    assert findings(project({"train/main.py": text, "train/broken.py": "print 1\n"})) == ((), ())


def test_a_script_for_a_later_python_than_ours_is_not_refused() -> None:
    odd = {"train/main.py": "x = = 1\n"}
    for found in (
        project(odd, python=LATER),
        project(odd, image=f"python:{LATER}-slim"),
        project(odd, image="acme/ml"),
    ):
        problems, warnings = findings(found)
        assert not problems
        assert f"SyntaxError: invalid syntax, says Python {OURS}, which checks it here: the" in warnings[0]
        assert warnings[0].endswith(" may take it")
    assert findings(project(odd, python="3.8"))[0]
    for never in (INDENTED, "print 1\n", "# coding: nonsense\n", "if 1\n  x\n", "if x = 1: y\n", "f() = 1\n", "1x\n"):
        assert findings(project({"train/main.py": never}, image="acme/ml"))[0]


def test_the_python_of_stages_that_ask_for_none_is_taken_into_account() -> None:
    odd = project({"train/main.py": "x = = 1\n"})
    assert load(odd, python=by_default(LATER)).warnings
    assert load(odd, python=by_default("")).warnings  # of an image that does not tell
    with pytest.raises(Invalid):
        load(odd, python=by_default(OURS))
    if sys.version_info[:2] < tuple(map(int, DEFAULT_PYTHON.split("."))):
        assert load(odd).warnings  # a command line on an old Python: the cluster's default may know more


def test_a_script_that_needs_a_later_python_than_its_stage_has_is_reported() -> None:
    match = {"train/main.py": "import sys\nmatch sys.argv:\n    case _:\n        pass\n"}
    problems, _ = findings(project(match, python="3.8"))
    assert ": needs Python 3.10, and the stage has 3.8 (SyntaxError: " in problems[0]
    for found in (project(match, python="3.10"), project(match), project(match, image="acme/ml")):
        assert findings(found) == ((), ())


def test_a_script_is_judged_by_the_image_of_the_request_where_that_wins() -> None:
    match = {"train/main.py": "import sys\nmatch sys.argv:\n    case _:\n        pass\n"}
    for image in ("python:3.12-slim", "acme/ml"):  # it wins over the PYTHON of a project
        assert load(project(match, python="3.8"), python=of_request(image, POLICY)).warnings == ()
    for found, image in ((project(match), "python:3.9"), (project(match, python="3.8"), "coachwork:dev")):
        with pytest.raises(Invalid, match=r"needs Python 3\.10"):
            load(found, python=of_request(image, POLICY))


def test_a_script_is_judged_by_what_the_image_for_its_python_really_has() -> None:
    match = {"train/main.py": "import sys\nmatch sys.argv:\n    case _:\n        pass\n"}
    other = replace(POLICY, images=(("3.8", "python:3.10-slim"), ("3.9", "acme/python")))
    assert load(project(match, python="3.8"), python=of_request("coachwork:dev", other)).warnings == ()
    with pytest.raises(Invalid, match=r"needs Python 3\.10, and the stage has 3\.9"):
        load(project(match, python="3.9"), python=of_request("coachwork:dev", other))


@pytest.mark.parametrize(
    "text",
    [
        "#!/usr/bin/env python\n# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"),
        b"\xef\xbb\xbfx = 1\r\ny = 2\r\n",
        b"import re\nre.compile('\\d')\nassert (1, 'always')\n",
        b"async def f():\n    return [x async for x in y]\n",
        b"",
    ],
)
def test_what_python_takes_is_taken(text: bytes) -> None:
    assert not modules({"a.py": text})["a.py"].fault


@pytest.mark.parametrize(
    "bomb",
    [b"x = " + b"-" * 200_000 + b"1", b"(" * 200_000, b"[" * 90 + b"]" * 90 + b"\n", b"a" + b".b" * 100_000,
     b"x = " + b"[0]," * 60_000, b"lambda: " * 30_000 + b"1", b"\0", b"\xff\xfe", b"# coding: nonsense\n"],
)  # fmt: skip
def test_a_hostile_text_harms_nobody_and_hides_no_other_file(bomb: bytes) -> None:
    found = modules({"a.py": b"import x", "bomb.py": bomb, "z.py": b"print 1"})
    assert found["a.py"].imports == ("x",)
    assert found["z.py"].fault.startswith("SyntaxError")


def test_texts_that_end_the_compiler_again_and_again_hold_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, starts = tmp_path / "child.py", tmp_path / "starts"
    child.write_text(f"open({str(starts)!r}, 'a').write('.')\nraise SystemExit(1)\n")
    monkeypatch.setattr(syntax, "CHILD", child)
    found = modules({f"bomb{number}.py": b"" for number in range(3 * syntax.CHILDREN)})
    assert set(found.values()) == {Module()}
    assert len(starts.read_text()) == syntax.CHILDREN


def test_very_many_sources_are_not_read_into_memory_at_once(tmp_path: Path) -> None:
    names = [f"m{number}.py" for number in range(2 * MAX_SOURCES // MAX_MODULE)]
    for name in names:
        (tmp_path / name).write_bytes(b"#" * MAX_MODULE)
    (tmp_path / "last.py").write_bytes(b"")
    found = sources(ProjectFiles(tmp_path, tmp_path, max_files=1000, max_text=1), [*names, "last.py"])
    assert [*found] == [*names, "last.py"]
    assert sum(len(text or b"") for text in found.values()) == MAX_SOURCES


@pytest.mark.parametrize(
    ("files", "warning"),
    [
        (["random/__init__.py"], "random/__init__.py: hides Python's own module random from all stages: rename it"),
        (["email.py"], "email.py: hides Python's own module email from all stages: rename it"),
        (["train/random.py"], "train/random.py: hides Python's own module random from scripts in train: rename it"),
        (["random/main.py", "select/config.ini", "serve/random.py", "train/test/__init__.py"], ""),
    ],
)
def test_a_file_that_hides_a_module_of_python_is_reported(files: list[str], warning: str) -> None:
    problems, warnings = findings(project({"train/main.py": ""} | dict.fromkeys(files, "")))
    assert (problems, warnings) == ((), (warning,) if warning else ())
