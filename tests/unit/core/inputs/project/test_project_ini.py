"""Projects in the ini form: bodywork.ini and a folder for each stage."""

import pytest

from controller.core import numbers
from controller.core.errors import Invalid
from controller.core.inputs.project import load
from controller.core.model import Batch, Comparison, Pipeline, Resources, Secret, Service, Stage
from tests.support.projects import BATCH_INI, MAIN_INI, SERVICE_INI, one_stage, problems_of, tree

FULL_MAIN = """
; the whole project
[default]
PROJECT_NAME = "iris"
docker_image = python:3.12-slim  ; optional
[workflow]
DAG = prepare >>
      train-a, train_b   # two at once
      >> serve
[logging]
LOG_LEVEL = 'INFO'
"""
FULL_BATCH = """
[default]
STAGE_TYPE="batch"
EXECUTABLE_SCRIPT="src/train.py"
CPU_REQUEST=0.5
MEMORY_REQUEST_MB=250
CPU_LIMIT=2
MEMORY_LIMIT_MB=500
GPU=1
[batch]
MAX_COMPLETION_TIME_SECONDS=300
RETRIES=0
REQUIRE = accuracy >= 0.9  # of the test set
  rmse <= previous * 1.05
[env]
Rate = 50%%(x)s
GREETING = "hello ; # world"
[secrets]
AWS_ACCESS_KEY_ID = aws
"""
FULL_SERVICE = """
[default]
STAGE_TYPE = Service
EXECUTABLE_SCRIPT = serve.py
CPU_REQUEST = 0.5
[service]
PORT = 5000
MAX_STARTUP_TIME_SECONDS = 90
REPLICAS = 3
MAX_REPLICAS = 9
TARGET_CPU_PERCENT = 60
INGRESS = True
READINESS_PATH = /ready
"""


def full() -> Pipeline:
    texts = {
        "bodywork.ini": FULL_MAIN,
        "prepare/config.ini": BATCH_INI,
        "train-a/config.ini": FULL_BATCH,
        "train-a/requirements.txt": "pandas==2.2.3  # data\n\nscikit-learn\n",
        "train_b/config.ini": BATCH_INI,
        "serve/config.ini": FULL_SERVICE,
        "serve/requirements.txt": "",
    }
    return load(tree(texts, "prepare/main.py", "train-a/src/train.py", "train_b/main.py", "serve/serve.py"))


def test_a_whole_project_is_read() -> None:
    pipeline = full()
    assert (pipeline.name, pipeline.image, pipeline.is_yaml) == ("iris", "python:3.12-slim", False)
    assert pipeline.steps == (("prepare",), ("train-a", "train_b"), ("serve",))
    assert list(pipeline.stages) == ["prepare", "train-a", "train_b", "serve"]
    assert pipeline.warnings == ()


def test_a_batch_stage_has_all_that_its_files_say() -> None:
    assert full().stages["train-a"] == Stage(
        name="train-a",
        folder="train-a",
        script="src/train.py",
        work=Batch(
            max_completion_seconds=300,
            retries=0,
            require=(
                Comparison("accuracy", ">=", "0.9", 0.9),
                Comparison("rmse", "<=", "previous * 1.05", 1.05, "*"),
            ),
        ),
        requirements_file="train-a/requirements.txt",
        requirements=("pandas==2.2.3", "scikit-learn"),
        resources=Resources(cpu_request=0.5, memory_request_mb=250, cpu_limit=2.0, memory_limit_mb=500, gpu=1),
        env=(("Rate", "50%%(x)s"), ("GREETING", "hello ; # world")),
        secrets=(Secret(variable="AWS_ACCESS_KEY_ID", secret="aws", key="AWS_ACCESS_KEY_ID"),),
    )


def test_a_service_stage_has_all_that_its_files_say() -> None:
    stage = full().stages["serve"]
    assert stage.work == Service(
        port=5000, max_startup_seconds=90, replicas=3, ingress=True, readiness_path="/ready", max_replicas=9,
        target_cpu_percent=60,
    )  # fmt: skip
    assert (stage.requirements_file, stage.requirements) == ("serve/requirements.txt", ())


def test_what_has_a_default_may_be_absent() -> None:
    assert full().stages["prepare"] == Stage(name="prepare", folder="prepare", script="main.py", work=Batch())


def as_of(day: str) -> str:
    """Return a bodywork.ini with a RESOLVE_AS_OF."""
    return f"[default]\nRESOLVE_AS_OF = {day}\n" + MAIN_INI.removeprefix("[default]\n")


@pytest.mark.parametrize(
    "image",
    ["bodyworkml/bodywork-core", "bodyworkml/bodywork-core:latest", "docker.io/bodyworkml/bodywork-core:3.0", '""'],
)
def test_bodyworks_own_image_is_not_what_stages_run_in(image: str) -> None:
    main = MAIN_INI.replace("[workflow]", f"DOCKER_IMAGE = {image}\n[workflow]")
    assert load(one_stage(BATCH_INI, main)).image == ""


@pytest.mark.parametrize("main", [MAIN_INI.replace("\n", "\r\n"), "\ufeff" + MAIN_INI, MAIN_INI.replace(" = ", ":")])
def test_other_spellings_of_the_same_file_are_taken(main: str) -> None:
    assert load(one_stage(BATCH_INI, main)).name == "iris"


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (BATCH_INI + "[batch]\nRETRIES = two", '[batch] RETRIES: expected a whole number, 0 or more, got "two"'),
        (BATCH_INI + "[batch]\nRETRIES = -1", "[batch] RETRIES: expected a whole number, 0 or more, got -1"),
        (BATCH_INI + "[batch]\nRETRIES = 1.5", "[batch] RETRIES: expected a whole number, 0 or more, got 1.5"),
        (
            BATCH_INI + "[batch]\nREQUIRE = rows > 1, rmse => 2\n",
            f'[batch] REQUIRE: expected {numbers.LIKE}, got "rmse => 2"',
        ),
        (
            BATCH_INI + "[batch]\nMAX_COMPLETION_TIME_SECONDS = 0",
            "[batch] MAX_COMPLETION_TIME_SECONDS: expected a whole number of seconds, 1 or more, got 0",
        ),
        (
            BATCH_INI + "CPU_REQUEST = nan",
            '[default] CPU_REQUEST: expected a number of CPU cores like 0.5, got "nan"',
        ),
        (
            BATCH_INI + "CPU_REQUEST = 2\nCPU_LIMIT = 1",
            "[default] CPU_LIMIT: is 1, below the 2 that is requested",
        ),
        (
            BATCH_INI + "MEMORY_LIMIT_MB = 1\nMEMORY_REQUEST_MB = 2",
            "[default] MEMORY_LIMIT_MB: is 1, below the 2 that is requested",
        ),
        (
            SERVICE_INI.replace("PORT = 5000", ""),
            "[service] PORT: missing: write a port, a whole number from 1 to 65535",
        ),
        (
            SERVICE_INI.replace("5000", "70000"),
            "[service] PORT: expected a port, a whole number from 1 to 65535, got 70000",
        ),
        (
            SERVICE_INI.replace("[service]", "CPU_REQUEST = 1\n[service]") + "REPLICAS = 3\nMAX_REPLICAS = 2",
            "[service] MAX_REPLICAS: is 2, below the 3 that there are at least",
        ),
        (
            SERVICE_INI + "MAX_REPLICAS = 2",
            "[service] MAX_REPLICAS: needs a request of CPU: load is a percentage of that",
        ),
        (
            SERVICE_INI + "TARGET_CPU_PERCENT = 60",
            "[service] TARGET_CPU_PERCENT: does nothing without a maximum of replicas",
        ),
        (
            SERVICE_INI + "READINESS_PATH = ready",
            '[service] READINESS_PATH: expected a path that starts with /, got "ready"',
        ),
        (BATCH_INI.replace("batch", "cron"), '[default] STAGE_TYPE: expected batch or service, got "cron"'),
        (BATCH_INI.replace("STAGE_TYPE = batch", ""), "[default] STAGE_TYPE: missing: write batch or service"),
        (
            BATCH_INI.replace("EXECUTABLE_SCRIPT = main.py", ""),
            "[default] EXECUTABLE_SCRIPT: missing: write a Python file like train.py",
        ),
        (
            BATCH_INI.replace("main.py", "mian.py"),
            '[default] EXECUTABLE_SCRIPT: file "train/mian.py" not found: did you mean main.py?',
        ),
        (
            BATCH_INI.replace("main.py", "train/main.py"),
            '[default] EXECUTABLE_SCRIPT: file "train/train/main.py" not found: did you mean main.py?',
        ),
        (
            BATCH_INI.replace("main.py", "../x/main.py"),
            '[default] EXECUTABLE_SCRIPT: expected a path below the folder, with / and without .., got "../x/main.py"',
        ),
        (
            BATCH_INI.replace("main.py", "run.sh"),
            (
                "[default] EXECUTABLE_SCRIPT: "
                'expected a Python file like train.py, or a notebook like train.ipynb, got "run.sh"'
            ),
        ),
        (
            BATCH_INI.replace("main.py", "mian.ipynb"),
            '[default] EXECUTABLE_SCRIPT: file "train/mian.ipynb" not found: did you mean main.py?',
        ),
        (
            BATCH_INI + "[secrets]\nTOKEN = s3cret/+",
            "[secrets] TOKEN: expected the name of a Secret (lower-case letters, digits, - .), not a secret's value",
        ),
    ],
)
def test_a_bad_value_is_reported_with_file_section_and_key(config: str, problem: str) -> None:
    assert problems_of(one_stage(config)) == (f"train/config.ini: {problem}",)


@pytest.mark.parametrize(
    ("main", "problem"),
    [
        (
            "[workflow]\nDAG = train",
            (
                "[default] PROJECT_NAME: missing: write a name: 1 to 63 letters, digits, - _ or .,"
                " with a letter or digit at both ends"
            ),
        ),
        (
            "[default]\nPROJECT_NAME = a b\n[workflow]\nDAG = train",
            (
                "[default] PROJECT_NAME: expected 1 to 63 letters, digits, - _ or .,"
                " with a letter or digit at both ends,"
                ' got "a b"'
            ),
        ),
        (
            "[default]\nPROJECT_NAME = iris",
            "[workflow] DAG: missing: write stages and their order, like prepare >> train >> serve",
        ),
        (MAIN_INI.replace("train", "trian"), "[workflow] DAG: folder trian not found: did you mean train?"),
        (
            MAIN_INI.replace("train", "empty"),
            "[workflow] DAG: the folder empty has no config.ini: write one with STAGE_TYPE and EXECUTABLE_SCRIPT",
        ),
        (
            MAIN_INI + "RUN_ON_FAILURE = train",
            (
                "[workflow] RUN_ON_FAILURE: stage train is in the DAG too:"
                " a stage runs once: give a copy of it another name"
            ),
        ),
        (
            MAIN_INI + "RUN_ON_FAILURE = a, b",
            '[workflow] RUN_ON_FAILURE: expected the name of one stage, got "a, b"',
        ),
        (
            MAIN_INI + "RUN_ON_FAILURE = Train",
            "[workflow] RUN_ON_FAILURE: stages train and Train both become train: rename one",
        ),
        (
            as_of("2021-02-30"),
            '[default] RESOLVE_AS_OF: expected a day like 2021-03-05, or commit or now, got "2021-02-30"',
        ),
        (
            as_of("1999-12-31"),
            "[default] RESOLVE_AS_OF: is before 2005-01-01: package indexes do not say what there was then",
        ),
        (
            MAIN_INI + "[logging]\nLOG_LEVEL = LOUD",
            '[logging] LOG_LEVEL: expected DEBUG, INFO, WARNING, ERROR or CRITICAL, got "LOUD"',
        ),
        (MAIN_INI + "DAG = train", "line 5: [workflow] DAG appears twice: remove one"),
        (MAIN_INI + "dag = train", "line 5: [workflow] DAG appears twice: remove one"),
        (MAIN_INI + "[workflow]", "line 5: section [workflow] appears twice: put its keys together"),
        (MAIN_INI + "nonsense", 'line 5: expected KEY = value or a [section], got "nonsense"'),
        (MAIN_INI + "[oops", 'line 5: expected a section like [default], got "[oops"'),
        ("X = 1\nY = 2\n" + MAIN_INI, 'line 2: "Y" comes before any [section]'),
    ],
)
def test_a_mistake_in_the_project_file_is_reported_with_its_place(main: str, problem: str) -> None:
    assert f"bodywork.ini: {problem}" in problems_of(one_stage(BATCH_INI, main, **{"empty/x": ""}))


@pytest.mark.parametrize(
    ("config", "warning"),
    [
        (BATCH_INI + "STAGE_NAME = x", "[default] STAGE_NAME: unknown key, not used: did you mean STAGE_TYPE?"),
        (BATCH_INI + "[batch]\nRETRYS = 1", "[batch] RETRYS: unknown key, not used: did you mean RETRIES?"),
        (BATCH_INI + "RETRIES = 1", "[default] RETRIES: not used here: write it in [batch]"),
        (BATCH_INI + "[env]\nGPU = 1\nPARALLEL = 8", "[env] PARALLEL: only a variable here: the key goes into [batch]"),
        (SERVICE_INI + "[batch]\nRETRIES = x", "[batch]: not used: the stage is a service"),
        (BATCH_INI + "[service]\nPORT = x", "[service]: not used: the stage is a batch"),
        (
            BATCH_INI + "[Secrets]\nA = b",
            "[Secrets]: unknown key, not used: did you mean secrets?",
        ),
    ],
)
def test_what_has_no_effect_is_a_warning_and_a_problem_when_strict(config: str, warning: str) -> None:
    project = one_stage(config)
    separator = "" if warning.startswith(("[", "unknown")) else ": "
    line = f"train/config.ini: {separator}{warning}"
    assert load(project).warnings == (line,)
    assert problems_of(project, strict=True) == (line,)


@pytest.mark.parametrize(
    "config", [SERVICE_INI + "[env]\nRETRIES = 3", BATCH_INI + "[batch]\nRETRIES = 1\n[env]\nRETRIES = 3"]
)
def test_a_variable_may_be_named_like_a_key_that_is_of_no_use_or_is_set(config: str) -> None:
    assert load(one_stage(config)).warnings == ()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff\x00", "is not text (byte 0 is not UTF-8): save it as UTF-8"),
        (b"[default]\n\x00", "is not text (it holds NUL bytes)"),
        (b"; " + b"x" * 1900 * 1024, "is 1.9 MiB large: {limit} at most"),
    ],
)
@pytest.mark.parametrize("path", ["bodywork.ini", "train/config.ini", "train/requirements.txt"])
def test_a_file_that_is_not_a_small_text_is_reported_before_it_is_parsed(
    path: str, content: bytes, problem: str
) -> None:
    texts: dict[str, str | bytes] = {"bodywork.ini": MAIN_INI, "train/config.ini": BATCH_INI, path: content}
    limit = "1 MiB" if path.endswith(".txt") else "256 KiB"
    (told,) = problems_of(tree(texts, "train/main.py"))
    assert told.startswith(f"{path}: {problem.format(limit=limit)}")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("-r ../common.txt", 'file "common.txt" not found'),
        ("-r ../../common.txt", '"../../common.txt" is outside the project: copy it into the project'),
        ("./lib", 'file "train/lib" not found'),
    ],
)
def test_a_requirement_that_refers_to_no_file_is_reported(line: str, problem: str) -> None:
    project = one_stage(BATCH_INI, **{"train/requirements.txt": line})
    assert problems_of(project) == (f"train/requirements.txt:1: {problem}",)


REMOTE = (
    "what {} holds is read when the environment is built, and later changes go unnoticed: "
    "commit the file, and write its path"
)


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("pickle", "`pickle` is a part of Python itself, not a package: remove the line"),
        ("JSON==2.0.9", "`json` is a part of Python itself, not a package: remove the line"),
        ("concurrent", "`concurrent` is a part of Python itself, not a package: remove the line"),
        ("-c https://a/c", REMOTE.format("https://a/c")),
        ("-r https://a/r", REMOTE.format("https://a/r")),
        ("python==3.8", "`python` is Python itself, not a package: remove the line; PYTHON chooses the version"),
        ("python-3.8", "`python-3-8` is Python itself, not a package: remove the line; PYTHON chooses the version"),
        *((line, "") for line in ("python-dateutil", "python-json-logger", "pickle5", "configparser", "typing>=3.7")),
        *((line, "") for line in ("os-testr", "asyncio ; python_version < '3.4'", "json @ https://host/json.whl")),
    ],
)
def test_a_requirement_that_does_not_do_what_it_seems_to_is_a_warning(line: str, warning: str) -> None:
    files = {"train/requirements.txt": f"flask\n{line}\n"}
    told = tuple(f"train/requirements.txt:2: {text}" for text in (warning,) if text)
    assert load(one_stage(BATCH_INI, **files)).warnings == told


def test_requirements_may_refer_to_the_projects_files() -> None:
    texts = {"train/requirements.txt": "-r ../common.txt\n-e ../lib\n-e ..", "common.txt": "", "lib/setup.py": ""}
    texts["setup.py"] = ""
    assert load(one_stage(BATCH_INI, **texts)).stages["train"].requirements == (
        "-r ../common.txt",
        "-e ../lib",
        "-e ..",
    )


def test_problems_of_all_files_are_reported_at_once() -> None:
    texts: dict[str, str | bytes] = {
        "bodywork.ini": "[default]\nPROJECT_NAME = -\n[workflow]\nDAG = a >> a >> b -> gone\n",
        "a/config.ini": "[default]\nSTAGE_TYPE = batch\nGPU = x\n[batch]\nRETRIES = y\n[env]\nHOME = z\n",
        "b/config.ini": b"\xff",
    }
    starts = sorted(line.split(" ")[0] for line in problems_of(tree(texts, faults={"big.ini": "is too large"})))
    assert starts == ["a/config.ini:"] * 4 + ["b/config.ini:"] + ["bodywork.ini:"] * 4


def test_a_file_whose_problem_is_known_is_not_reported_twice() -> None:
    project = tree({"bodywork.ini": MAIN_INI}, "train/config.ini", faults={"train/config.ini": "is a link out of it"})
    assert problems_of(project) == ("train/config.ini: is a link out of it",)


def test_thousands_of_problems_are_cut_to_a_hundred() -> None:
    lines = problems_of(one_stage(BATCH_INI, MAIN_INI + "x\n" * 5000))
    assert len(lines) == 101
    assert lines[-1] == "bodywork.ini: and more problems: mend these first"


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ((), "bodywork.ini: not found, nor is bodywork.yaml: write one, or set path to the folder that holds it"),
        (("bodywork.yml",), "bodywork.ini: not found, nor is bodywork.yaml: rename bodywork.yml to bodywork.yaml"),
        (
            ("examples/x/bodywork.ini", "y/bodywork.yaml"),
            (
                "bodywork.ini: not found, nor is bodywork.yaml; found y/bodywork.yaml: set path: y,"
                " examples/x/bodywork.ini: set path: examples/x"
            ),
        ),
    ],
)
def test_a_repository_without_a_project_is_shown_where_one_could_be(files: tuple[str, ...], line: str) -> None:
    with pytest.raises(Invalid) as refused:
        load(tree({}, *files))
    assert (refused.value.reason, refused.value.problems) == ("NoProject", (line,))


def test_the_day_of_the_packages_and_the_failure_stage_are_read() -> None:
    main = as_of("2021-03-05") + "RUN_ON_FAILURE = alert\n"
    pipeline = load(
        tree(
            {"bodywork.ini": main, "train/config.ini": BATCH_INI, "alert/config.ini": BATCH_INI},
            "train/main.py",
            "alert/main.py",
        )
    )
    assert (pipeline.resolve_as_of, pipeline.run_on_failure) == ("2021-03-05", "alert")
    assert (pipeline.steps, set(pipeline.stages)) == ((("train",),), {"train", "alert"})


def test_a_failure_stage_ends_by_itself() -> None:
    texts = {"bodywork.ini": MAIN_INI + "RUN_ON_FAILURE = alert\n", "train/config.ini": BATCH_INI}
    project = tree({**texts, "alert/config.ini": SERVICE_INI}, "train/main.py", "alert/main.py")
    problem = "bodywork.ini: [workflow] RUN_ON_FAILURE: stage alert is a service: expected a batch stage"
    assert problems_of(project) == (problem,)


@pytest.mark.parametrize(("text", "optional"), [("aws", False), ("aws?", True), ('"aws?"', True)])
def test_a_secret_that_a_stage_can_do_without_has_a_question_mark(text: str, optional: bool) -> None:
    stage = load(one_stage(BATCH_INI + f"[secrets]\nTOKEN = {text}\n")).stages["train"]
    assert stage.secrets == (Secret("TOKEN", "aws", "TOKEN", optional=optional),)


@pytest.mark.parametrize("text", ["?", "aws??", "aws ?"])
def test_a_question_mark_alone_names_no_secret(text: str) -> None:
    (problem,) = problems_of(one_stage(BATCH_INI + f"[secrets]\nTOKEN = {text}\n"))
    assert "expected the name of a Secret" in problem
