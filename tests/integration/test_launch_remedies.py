"""What a launch says to change where a script's last line does not say it, and which failures are not tried again."""

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.support.launching import PYTHON_38, Stage


def packages(stage: Stage, **versions: str) -> None:
    """Pretend that these packages are installed in the stage's environment."""
    site = stage.root / "environment/lib/python3.9/site-packages"
    for name, version in versions.items():
        (site / f"{name}-{version}.dist-info").mkdir(parents=True)
        module = {"scikit_learn": "sklearn"}.get(name, name)
        (site / f"{name}-{version}.dist-info/top_level.txt").write_text(f"{module}\n")
    python = stage.root / "environment/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(shutil.which("python3") or "")
    (stage.root / "environment/.complete").write_text("e")
    (stage.root / "environment/lock.txt").write_text("".join(f"{name}=={is_}\n" for name, is_ in versions.items()))
    identity = "import json, stage_environment; print(json.dumps(stage_environment.identity()))"
    words = subprocess.run([stage.python, "-c", identity], cwd=stage.tools, check=True, capture_output=True, timeout=60)
    (stage.root / "environment/python.json").write_bytes(words.stdout)
    stage.mounts = {"environment": str(stage.root / "environment")}
    stage.order = {"environment": "e"}


WORDY = """Traceback (most recent call last):
  File "%s", line 1, in <module>
    import pandas
ImportError: Unable to import required dependencies:
numpy: Error importing numpy: you should not try to import numpy from its source directory
"""

# --- what another attempt would not mend ---------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        "import nowhere",
        "def late():\n    from nowhere import x\nlate()",
        "import importlib; importlib.import_module('nowhere')",
        "import lib",
        "import broken",
        "import bent",
        "if x\n    pass",
        "def f():\npass",
        "if True:\n        x = 1\n\ty = 2",
        "import wordy",
    ],
)
def test_what_can_not_be_imported_or_compiled_is_not_tried_again(stage: Stage, script: str) -> None:
    stage.file("train/lib.py", "from json import nothing_of_this_name")
    stage.file("train/broken.py", "x = (")
    stage.file(
        "train/wordy.py",
        f"import sys\nsys.stderr.write({WORDY!r} % __file__)\nsys.stderr.flush()\nimport os\nos._exit(1)",
    )
    stage.file("train/bent.py", "def f():\nreturn 1")
    ended = stage.run(script, kind="service" if "lib" in script else "batch", port=1)
    assert ended.code == 121
    assert ended.results[1]["exit_code"] == 121
    assert "exited with code 1: " in ended.message["message"]


@pytest.mark.parametrize(
    "script",
    [
        "try:\n    import nowhere\nexcept ImportError:\n    pass\nraise ValueError('no data')",
        (
            "import traceback\ntry:\n    import nowhere\nexcept ImportError:\n    traceback.print_exc()\n"
            "print('could not connect')\nraise SystemExit(1)"
        ),
        "def plugin():\n    raise ImportError('the server sent no plugin')\nplugin()",
        "import ast; ast.literal_eval('[1, ')",
        "exec('x = (')",
        "raise SystemExit(1)",
    ],
)
def test_what_may_go_better_is_tried_again(stage: Stage, script: str) -> None:
    assert stage.run(script).code == 1


@pytest.mark.skipif(PYTHON_38 is None, reason="no Python 3.8 on this machine")
def test_python_3_8_gives_the_same_advice(stage: Stage) -> None:
    stage.python = str(PYTHON_38)
    ended = stage.run("import os\nopen('rows.csv')\n")
    assert ended.message["message"].endswith(
        "(the commit has no train/rows.csv: commit it, or, if an earlier stage makes it, "
        "hand it over in COACHWORK_ARTIFACTS); not tried again: it would end the same"
    )


# --- imports ----------------------------------------------------------------------------------------------

IN = "train/requirements.txt"
IMPORTS = {
    "import helpers": "it is lib/util/helpers.py: write `from lib.util import helpers`, or move it next to the script",
    "from helpers import a, b  # c": "it is lib/util/helpers.py: write `from lib.util.helpers import a, b`, or move it",
    "from helpers import (\n    a)": "it is lib/util/helpers.py: write `from lib.util.helpers import ...`, or move it",
    "from spread import x": "it is old-code/spread.py, where no import looks: move it next to the script, or to the",
    "import helprs": "did you mean `helpers`, which is lib/util/helpers.py?",
    "import shapes.round": "shapes/ has no `round`: correct the name, or commit the file",
    "import single.part": "train/single.py is one module, and hides any package of that name: rename it",
    "from single import functoin": "train/single.py has no `functoin`: did you mean `function`?",
    "from shapes import squares": "shapes/ has no `squares`: did you mean `square`?",
    "from pictures import Cat": "pictures/ has no `Cat`",
    "from json import nothing": "`json` of this Python has no `nothing`: check the name",
    "import ring": "ring.py imports, perhaps through others, what imports it: move what both need into a third file",
    "import pandas": "train/pandas.py hides the package `pandas`: rename it",
    "import csv\ncsv.reader": "train/csv.py hides the package `csv`: rename it",
    "from . import helpers": "a script is not part of a package: write `import helpers`",
    "from ..lib import helpers as h": "a script is not part of a package: write `from lib import helpers as h`",
    "import sklearn.tree": f"`sklearn` comes from the package scikit-learn: add scikit-learn to {IN}",
    "import cv2": f"`cv2` comes from the package opencv-python-headless: add opencv-python-headless to {IN}",
    "from google.cloud import storage": "`google.cloud.storage` comes from the package google-cloud-storage: add",
    "import xgboost": f"add xgboost to {IN}",
    "import sklern": f"did you mean `sklearn`? It comes from the package scikit-learn, which {IN} has to name",
    "import jsn": "did you mean `json`?",
    "import biopython": "the package biopython is imported as `Bio`",
    "import bodywork": "a stage needs nothing of Bodywork here: remove the import",
    "import things": "if `things` is a file of yours, commit it next to the script; if it is a package, look up",
    "import ignored": "train/ignored.py is in your folder, but git ignores it",
    "import wanting.learning": f"wanting needs scikit-learn: add scikit-learn to {IN}",
    "import wanting.other": f"wanting imports it: pin versions that fit each other in {IN}",
    "import wanting.nothing": "wanting 1.0 is installed and has no `wanting.nothing`: check the name, or pin a version",
}


@pytest.mark.parametrize("script", IMPORTS)
def test_an_import_that_fails_leads_to_the_own_file_or_the_right_package_and_never_to_a_strangers(
    stage: Stage, script: str
) -> None:
    packages(stage, wanting="1.0")
    site = stage.root / "environment/lib/python3.9/site-packages"
    (site / "wanting").mkdir()
    for path, text in {"__init__": "", "other": "import nowhere\n", "learning": "import sklearn\n"}.items():
        (site / f"wanting/{path}.py").write_text(text)
    for path in ("lib/util/helpers.py", "old-code/spread.py", "shapes/square.py", "pictures/cat.png"):
        stage.file(path, "")
    stage.file("train/single.py", "def function(): pass\n")
    stage.file("ring.py", "import gnir\nx = 1\n")
    stage.file("gnir.py", "from ring import x\n")
    stage.file("train/pandas.py", "from pandas import DataFrame\n")
    stage.file("train/csv.py", "import csv\n")
    mine = git(stage.root / "mine")
    (mine / ".gitignore").write_text("ignored.py\n")
    (mine / "train").mkdir()
    (mine / "train/ignored.py").write_text("")
    stage.env = {"COACHWORK_LOCAL_FOLDER": str(mine), "PYTHONPATH": str(site)}
    ended = stage.run(script)
    assert IMPORTS[script] in ended.message["message"]
    assert ended.code == 121


# --- exceptions of several lines, and of several exceptions ---------------------------------------------------

POOL = "with ProcessPoolExecutor(1) as pool:\n    list(pool.map(abs, [1]))\n"
UNGUARDED = f"import multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor\n{{}}{POOL}"
GUARD = 'start processes only below `if __name__ == "__main__":`'
SET = GUARD.replace(" only", ", and call `set_start_method`, only")
LOAD = "def load():\n    open('rows.csv')\n"
FAILED = (
    "RuntimeError: no training, caused by FileNotFoundError: [Errno 2] No such file or directory: 'rows.csv' "
    "(train/train.py:2) (the commit has no train/rows.csv"
)
REMOTE = f"""
from concurrent.futures import ProcessPoolExecutor
def abs(x): raise ValueError(f'no data {{x}}')
if __name__ == '__main__':
    {POOL.replace("    ", "        ")}"""
GROUP = """
import asyncio
async def work(x): raise ValueError(f'no data {x}')
async def main():
    async with asyncio.TaskGroup() as group:
        for x in (1, 2): group.create_task(work(x))
asyncio.run(main())
"""
NESTED = "raise ExceptionGroup('a', [ExceptionGroup('b', [OSError('1'), ValueError('2')]), KeyError('3')])"
PYDANTIC = "1 validation error for Model\nage\n  Input should be a valid integer [type=int_parsing]\n    For further"
SQLALCHEMY = "(sqlite3.OperationalError) no such table: rows\n[SQL: select 1]\n(Background on this error at: https://x)"
MANY = {
    "no main guard": (
        UNGUARDED.format("multiprocessing.set_start_method('spawn')\n"),
        (3, "RuntimeError: context has already been set", SET, 121),
    ),
    "no main guard, in a context": (
        UNGUARDED.format("").replace("(1)", "(1, multiprocessing.get_context('spawn'))"),
        (4, "RuntimeError: An attempt has been made to start a new process before the current process has", GUARD, 121),
    ),
    "from": (
        f"{LOAD}try: load()\nexcept OSError as error: raise RuntimeError('no training') from error",
        (4, FAILED, "", 1),
    ),
    "while it is handled": (
        f"{LOAD}try: load()\nexcept OSError:\n    raise RuntimeError('no training')",
        (5, FAILED, "", 1),
    ),
    "with the same words": (
        "try: {}['x']\nexcept KeyError as error:\n    raise ValueError(f'no {error}') from error",
        (3, "ValueError: no 'x', caused by KeyError (train/train.py:1)", "", 1),
    ),
    "of another process": (REMOTE, (3, "ValueError: no data 1", "", 1)),
    "group": (
        GROUP,
        (3, "ValueError: no data 1", "the first of ExceptionGroup: unhandled errors in a TaskGroup (2", 1),
    ),
    "group in a group": (NESTED, (1, "OSError: 1 (the first of ExceptionGroup: a (2 sub-exceptions))", "", 1)),
    "other ends of lines": (
        r"raise ValueError('a\u2028b\x0cc\x85d\u2029File x, line 1')",
        (1, "ValueError: a b c d File x", "", 1),
    ),
    "pydantic": (
        f"class ValidationError(Exception): pass\nraise ValidationError({PYDANTIC!r})",
        (
            2,
            "ValidationError: 1 validation error for Model age Input should be a valid integer [type=int_parsing]",
            "",
            1,
        ),
    ),
    "SQLAlchemy": (
        f"try: raise ValueError('no such table: rows')\nexcept ValueError as e: raise OSError({SQLALCHEMY!r}) from e",
        (2, "OSError: (sqlite3.OperationalError) no such table: rows, caused by ValueError (train/train.py:1)", "", 1),
    ),
}


@pytest.mark.parametrize("kind", MANY)
def test_an_exception_of_many_lines_is_one_line_with_the_own_place_and_what_decided(stage: Stage, kind: str) -> None:
    script, (line, words, more, code) = MANY[kind]
    ended = stage.run(script)
    assert ended.message["message"].startswith(f"train/train.py:{line}: exited with code 1: {words}")
    assert more in ended.message["message"]
    assert ("caused by" in ended.message["message"]) == ("caused by" in words)
    assert ended.code == code


def test_a_pool_without_a_main_guard_that_never_ends_leads_there_too(stage: Stage) -> None:
    ended = stage.run("import multiprocessing\nmultiprocessing.get_context('spawn').Pool(1).map(abs, [1])", limit=4)
    assert ended.message["reason"] == "TimedOut"
    assert ended.message["message"].startswith("train/train.py:2: RuntimeError: An attempt has been made")
    assert f"({GUARD}" in ended.message["message"]
    assert ended.message["message"].endswith("; not done within 4 s (MAX_COMPLETION_TIME_SECONDS)")


# --- programs and variables -----------------------------------------------------------------------------------


def test_a_program_is_missing_where_a_folder_of_path_cannot_be_searched(stage: Stage) -> None:
    script = "def _execute_child(): raise PermissionError(13, 'Permission denied', 'ffmpg')\n_execute_child()"
    assert "has no program `ffmpg`" in stage.run(script).message["message"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "import subprocess; subprocess.run(['ffmpg'])",
            "the image has no program `ffmpg`: use an image with the Debian package that has it; docs/how-to/images.md",
        ),
        ("import subprocess; subprocess.run(['tesseract', '-h'])", "the Debian package tesseract-ocr; docs/how-to"),
        ("import _nothing", "the image's Python was built without it: use another image (docs/how-to/images.md of"),
        (
            "import subprocess; subprocess.run('dot -h', shell=True, check=True)",
            "the Debian package graphviz; docs/how",
        ),
        ("import subprocess; subprocess.run(['./bad.sh'])", "./bad.sh is there, but the image has not what its first"),
        (
            "import os; os.environ['API_KEY']",
            (
                "the stage has no variable API_KEY: did you mean MY_API_KEY? Else set it in `[env]`, or as a Secret in "
                "`[secrets]`, of the stage"
            ),
        ),
        (
            "import os; os.environ['STORE']",
            (
                "the stage has no variable STORE: set it in `[env]`, or as a Secret in `[secrets]`, of the stage; "
                "what your shell exports does not reach stages, but `--env STORE=VALUE` does"
            ),
        ),
    ],
)
def test_what_the_image_or_the_stage_does_not_have_leads_to_where_it_comes_from(
    stage: Stage, script: str, words: str
) -> None:
    stage.env = {
        "MY_API_KEY": "x",
        "PATH": "/nowhere",
        "COACHWORK_LOCAL_FOLDER": "/mine",
        "COACHWORK_POD_IP": "10.0.0.9",
    }
    stage.file("train/bad.sh", "#!/bin/nothing-like-a-shell\n").chmod(0o755)
    ended = stage.run(script)
    assert words in ended.message["message"]
    assert ended.code == 121


# --- packages that do not fit -----------------------------------------------------------------------------


@pytest.mark.parametrize("cython", ["pandas/_libs/interval.pyx", "interval.pyx"])
def test_a_package_of_another_numpy_is_named_with_the_own_line_and_the_pins(stage: Stage, cython: str) -> None:
    packages(stage, numpy="1.19.5", pandas="1.5.3")
    stage.file("train/requirements.txt", "# ours\npandas==1.5.3\n")
    script = r"""
import sys
sys.stderr.write('''Traceback (most recent call last):
  File "%s", line 2, in <module>
    import pandas as pd
  File "/usr/lib/python3/site-packages/pandas/__init__.py", line 22, in <module>
    from pandas.compat import is_numpy_dev
  File "{cython}", line 1, in init pandas._libs.interval
ValueError: numpy.ndarray size changed, may indicate binary incompatibility. Expected 88 from C header, got 80
''' % __file__)
sys.exit(1)
"""
    ended = stage.run(script.replace("{cython}", cython))
    assert (ended.code, ended.message["reason"]) == (121, "ImportError")
    message = ended.message["message"]
    assert message.startswith("train/train.py:2: exited with code 1: ValueError: numpy.ndarray size changed")
    assert "`pandas` was compiled for another NumPy: pin versions that fit in train/requirements.txt" in message
    assert "installed: pandas 1.5.3, numpy 1.19.5" in message
    assert "asked for: `pandas==1.5.3` (train/requirements.txt:2); no file names a version of numpy" in message


@pytest.mark.parametrize(
    "last", ["ImportError: numpy.core.multiarray failed to import", "RuntimeError: Numpy is not available"]
)
def test_a_package_of_numpy_1_under_numpy_2_leads_to_a_pin(stage: Stage, last: str) -> None:
    packages(stage, numpy="2.0.1")
    script = textwrap.dedent(rf"""
        import sys
        sys.stderr.write('''
        A module that was compiled using NumPy 1.x cannot be run in
        NumPy 2.0.1 as it may crash. To support both 1.x and 2.x
        Traceback (most recent call last):
          File "%s", line 1, in <module>
            import pyarrow
        AttributeError: _ARRAY_API not found
        Traceback (most recent call last):
          File "%s", line 2, in <module>
            import pyarrow
        {last}
        ''' % (__file__, __file__))
        sys.exit(1)
    """)
    ended = stage.run(script)
    assert ended.message["reason"] == "ImportError"
    assert "`pyarrow` was compiled for another NumPy: pin `numpy<2`" in ended.message["message"]
    assert "installed: numpy 2.0.1" in ended.message["message"]


@pytest.mark.parametrize(
    ("frame", "ends"),
    [
        (
            "numba/np/arrayobj.py",
            "numba 0.53.1; no file names a version of numpy or numba); not tried again: it would end",
        ),
        ("", "AttributeError: module 'numpy' has no attribute 'row_stack'"),  # the script's own line says nothing of it
    ],
)
def test_a_package_that_misses_a_name_in_another_one_does_not_fit_it(stage: Stage, frame: str, ends: str) -> None:
    packages(stage, numpy="2.5.5", numba="0.53.1")
    between = f'  File "/x/site-packages/{frame}", line 9, in <module>\n    overload(np.row_stack)\n' if frame else ""
    script = f"""
import sys
sys.stderr.write('''Traceback (most recent call last):
  File "%s", line 2, in <module>
    import pymc as pm
{between}  File "/x/site-packages/numpy/__init__.py", line 769, in __getattr__
    raise AttributeError("...")
AttributeError: module 'numpy' has no attribute 'row_stack'
''' % __file__)
sys.exit(1)
"""
    message = stage.run(script).message["message"]
    assert message.startswith("train/train.py:2: exited with code 1: AttributeError: module 'numpy' has no attribute")
    fit = "name versions that fit each other in train/requirements.txt; installed: numpy 2.5.5, "
    assert (ends in message, fit in message) == (True, bool(frame))


@pytest.mark.parametrize(
    ("said", "then", "code"),
    [
        (
            "WARNING (pytensor.configdefaults): g++ not detected!  PyTensor will default to Python.",
            "time.sleep(99)",
            124,
        ),
        ("", "raise RuntimeError('Failed to find C compiler. Please specify via CC environment variable.')", 1),
    ],
)
def test_a_compiler_that_the_image_lacks_is_the_cause_and_so_is_the_slowness_without(
    stage: Stage, said: str, then: str, code: int
) -> None:
    ended = stage.run(f"import sys, time\nprint({said!r}, file=sys.stderr)\nprint('sampling')\n{then}\n", limit=3)
    message = ended.message["message"]
    assert (ended.code, re.findall("has no C.. compiler: .*Debian package g..", message) != []) == (code, True), message


def test_a_name_that_numpy_removed_leads_to_the_version_to_pin(stage: Stage) -> None:
    stage.file("train/numpy.py", "")
    ended = stage.run("import numpy as np\nnp.object\n")
    assert (ended.code, ended.message["reason"]) == (121, "ExitCode")
    assert "NumPy 1.24 removed it: pin `numpy<1.24` in train/requirements.txt" in ended.message["message"]


PICKLED = """
import pickle, sys, types
module = types.ModuleType("sklearn.tree.tree"); module.Tree = type("Tree", (), {"__module__": "sklearn.tree.tree"})
for name in ("sklearn", "sklearn.tree"): sys.modules[name] = types.ModuleType(name)
sys.modules["sklearn.tree.tree"] = module
text = pickle.dumps(module.Tree())
"""


@pytest.mark.parametrize("then", ["del module.Tree", "del sys.modules['sklearn.tree.tree']"])
def test_an_object_of_another_version_is_named_with_the_own_line_and_the_pins_of_all_stages(
    stage: Stage, then: str
) -> None:
    packages(stage, scikit_learn="1.4.0")
    stage.file("train/requirements.txt", "scikit_learn == 0.23.2  # old\n")
    stage.file("serve/requirements.txt", "flask\nscikit-learn==1.4.0\n")
    ended = stage.run(f"{PICKLED}{then}\npickle.loads(text)\n")
    message = ended.message["message"]
    assert message.startswith("train/train.py:8: exited with code 1: ")
    assert "it was written with another version of scikit-learn, and here is 1.4.0" in message
    for pin in ("`scikit-learn==1.4.0` (serve/requirements.txt:2)", "`scikit_learn == 0.23.2` (train/requirements.txt"):
        assert pin in message
    assert "add the package" not in message


@pytest.mark.parametrize(
    "script",
    [
        "import pickle\nclass Mine: pass\ntext = pickle.dumps(Mine())\ndel Mine\npickle.loads(text)\n",
        "def loads(text): raise AttributeError(\"module '__main__' has no attribute 'Mine'\")\nloads('')\n",
    ],
    ids=["this Python", "in the words of 3.14"],
)
def test_an_object_of_a_class_of_the_script_that_wrote_it_leads_to_a_module(stage: Stage, script: str) -> None:
    ended = stage.run(script)
    assert "the script that wrote it defined `Mine` itself: move it into a module that both import" in ended.text


def test_a_misspelt_name_in_a_line_that_loads_is_not_blamed_on_versions(stage: Stage) -> None:
    ended = stage.run("import __main__, pickle\n__main__.Mine(pickle.loads(pickle.dumps(1)))\n")
    assert ended.message["reason"] == "ExitCode"
    assert "the script that wrote it" not in ended.text


# --- hosts ------------------------------------------------------------------------------------------------

SERVICES = {
    "COACHWORK_URL_SCORING_SERVICE": "http://iris--scoring-service:5000",
    "COACHWORK_URL_OTHER": "http://iris--other:5001",
}


UNKNOWN = "[Errno -2] Name or service not known"
URLLIB = f"urllib.error.URLError: <urlopen error {UNKNOWN}>"
WORDS = {
    "scoring-service": "requests.exceptions.ConnectionError: HTTPConnectionPool(host='{}', port=5000): Max retries "
    f"exceeded with url: / (Caused by NameResolutionError(\"Failed to resolve '{{}}' ({UNKNOWN})\"))",
    "scoring_service": URLLIB,
    "scoring-servce": "socket.gaierror: [Errno -3] Temporary failure in name resolution",
    "bodywork-iris--scoring-service.ml-prod": "aiohttp.client_exceptions.ClientConnectorDNSError: Cannot connect to "
    "host {}:5000 ssl:default [Name or service not known]",
    "iris--scoring-service.ml.svc.cluster.local": URLLIB,
    "scoring-service.ml.svc.cluster.local": URLLIB,
}


@pytest.mark.parametrize(("host", "words"), WORDS.items(), ids=WORDS)
def test_a_host_name_that_means_another_stage_leads_to_its_address(stage: Stage, host: str, words: str) -> None:
    stage.env = SERVICES
    script = f"""
import sys
URL = "http://{host}:5000/score"
sys.stderr.write('Traceback (most recent call last):\\n  File "%s", line 3, in <module>\\n    post(URL)\\n' % __file__)
sys.exit({words.format(host, host)!r})
"""
    ended = stage.run(script)
    assert (
        f"`{host}` is not a name here: the service is at COACHWORK_URL_SCORING_SERVICE, "
        "here http://iris--scoring-service:5000"
    ) in ended.message["message"]


def test_a_host_name_outside_of_any_address_leads_there_too(stage: Stage) -> None:
    stage.env = SERVICES
    ended = stage.run("import socket\nHOST = 'scoring-service'\nsocket.create_connection((HOST, 5000))\n")
    assert "`scoring-service` is not a name here: the service is at" in ended.message["message"]
    ended = stage.run("import socket\nHOST = 'scoring'\nsocket.create_connection((HOST, 5000))\n", attempts=2)
    assert "not a name here" not in ended.message["message"]


def test_a_foreign_host_is_not_taken_for_a_stage(stage: Stage) -> None:
    stage.env = {"COACHWORK_URL_API": "http://iris--api:5000"}
    ended = stage.run("import urllib.request\nurllib.request.urlopen('http://api.example.invalid/')\n")
    assert ended.message["message"].endswith(">")
    assert "COACHWORK_URL" not in ended.message["message"]


# --- files ------------------------------------------------------------------------------------------------


def git(folder: Path) -> Path:
    folder.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True, timeout=30)
    (folder / ".gitignore").write_text("*.csv\n")
    (folder / "data").mkdir()
    (folder / "data/rows.csv").write_text("1")
    (folder / "data/late.txt").write_text("1")
    return folder


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../data/rows.csv", ("data/rows.csv is in your folder, but git ignores it (*.csv in line 1 of .gitignore),"
         " so that it is not part of the run: `git add -f data/rows.csv` takes it in")),
        ("../data/late.txt", "data/late.txt is in your folder, but not in the run's commit"),
        ("data/late.txt", "data/late.txt is in your folder, but not in the run's commit"),
        ("in/x.csv", "in/x.csv is in the commit, and the script runs in train/: open ../in/x.csv)"),
        ("in", "in is in the commit, and the script runs in train/: open ../in)"),
        ("x.csv", "in/x.csv is in the commit, and the script runs in train/: open ../in/x.csv)"),
        ("model.JSON", "train/model.json is in the commit, and the script runs in train/: open model.json)"),
        ("twice.csv", "the commit has no train/twice.csv: commit it, or, if an earlier stage makes it, hand it over"),
        ("../nowhere/rows.csv", "the commit has no nowhere/rows.csv: commit it"),
        ("nothing.csv", "the commit has no train/nothing.csv"),
        ("/tmp/of-another-stage.pkl", "on a cluster each stage has a /tmp of its own: hand files over"),  # noqa: S108
        ("it's \"a\".csv", "the commit has no train/it's \"a\".csv"),
        ("/home/me/rows.csv", "this path exists on one machine only"),
    ],
)  # fmt: skip
def test_a_file_that_is_only_elsewhere_comes_with_the_remedy(stage: Stage, path: str, words: str) -> None:
    stage.env = {"COACHWORK_LOCAL_FOLDER": str(git(stage.root / "mine"))}
    for each in ("in/x.csv", "train/model.json", "a/twice.csv", "b/twice.csv"):
        stage.file(each, "")
    ended = stage.run(f"import os\nassert 'COACHWORK_LOCAL_FOLDER' not in os.environ\nopen({path!r})\n")
    assert ended.code == 121
    assert (
        f"train/train.py:3: exited with code 1: FileNotFoundError: [Errno 2] No such file or directory: {path!r} ("
        in (ended.message["message"])
    )
    assert words in ended.message["message"]


@pytest.mark.parametrize("script", ["open('out/rows.csv', 'w')", "import pathlib; pathlib.Path('out/x').mkdir()"])
def test_a_folder_that_is_not_there_for_writing_is_to_be_made(stage: Stage, script: str) -> None:
    ended = stage.run(script)
    assert "(Git keeps no empty folder, as train/out would be: make it with os.makedirs" in ended.message["message"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import subprocess; subprocess.run(['dot'])", "program `dot`: install the Debian package graphviz, or your"),
        ("import ctypes; ctypes.CDLL('libown.so')", "`libown.so`: install the Debian package that has it, or your"),
    ],
)
def test_what_a_laptop_does_not_have_is_to_be_installed_there(stage: Stage, script: str, words: str) -> None:
    stage.env = {"PATH": "/nowhere"}
    message = stage.run(script).message["message"]
    assert f"this machine has no {words} system's own; on a cluster the stage's image needs it, too: docs" in message


@pytest.mark.parametrize(
    "words", ["ImportError: joblib needs to be installed", "OSError: a redis connection is required"]
)
def test_what_is_installed_or_required_otherwise_is_not_to_be_added(stage: Stage, words: str) -> None:
    packages(stage, joblib="1.4")
    trace = "Traceback (most recent call last):\\n  File 'x', line 1, in f\\n"
    ended = stage.run(f"import sys; sys.exit('{trace}{words}')".replace("'x'", '"x"'))
    assert words in ended.message["message"]
    assert "(add " not in ended.message["message"]
