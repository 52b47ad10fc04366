"""Projects in the YAML form, as Bodywork 2 and 3 read it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core import numbers
from controller.core.inputs.project import load
from controller.core.model import Batch, Resources, Secret, Service, Stage
from tests.support.projects import BATCH_INI, MAIN_INI, problems_of, tree

SCRIPTS = ("stage_1/main.py", "serve.py", "main.py")
FULL = """\
version: "1.1"
pipeline:
  name: iris
  docker_image: bodyworkml/bodywork-core:latest
  DAG: stage_1 >> serve
  usage_stats: false
  secrets_group: dev
stages:
  stage_1:
    executable_module_path: stage_1/main.py
    args: ["Hello", "World"]
    cpu_request: 1
    memory_request_mb: 100
    requirements:
      - requests==2.24.0
    batch:
      max_completion_time_seconds: 30
      retries: 1
  serve:
    executable_module_path: serve.py
    cpu_request: 0.5
    service:
      max_startup_time_seconds: 30
      replicas: 2
      max_replicas: 3
      target_cpu_percent: 90
      port: 5000
      ingress: true
    secrets:
      USERNAME: credentials
    env:
      MODE: "1"
logging:
  log_level: INFO
"""
SMALL = """\
version: "1.0"
project:
  name: iris
  DAG: train
stages:
  train:
    executable_module_path: main.py
    batch:
"""


def project(text: str | bytes, *files: str) -> tuple[str, ...]:
    return problems_of(tree({"bodywork.yaml": text}, *SCRIPTS, *files))


def test_a_whole_project_is_read() -> None:
    pipeline = load(tree({"bodywork.yaml": FULL}, *SCRIPTS))
    assert (pipeline.name, pipeline.image, pipeline.is_yaml) == ("iris", "", True)
    assert pipeline.steps == (("stage_1",), ("serve",))
    assert pipeline.warnings == ()
    assert pipeline.stages["stage_1"] == Stage(
        name="stage_1",
        folder="stage_1",
        script="main.py",
        work=Batch(max_completion_seconds=30, retries=1),
        args=("Hello", "World"),
        requirements=("requests==2.24.0",),
        resources=Resources(cpu_request=1.0, memory_request_mb=100),
    )
    assert pipeline.stages["serve"] == Stage(
        name="serve",
        folder=".",
        script="serve.py",
        work=Service(
            port=5000, max_startup_seconds=30, replicas=2, ingress=True, max_replicas=3, target_cpu_percent=90
        ),
        resources=Resources(cpu_request=0.5),
        env=(("MODE", "1"),),
        secrets=(Secret(variable="USERNAME", secret="dev-credentials", key="USERNAME"),),
    )


def test_services_of_schema_1_0_have_their_short_name_too_and_an_empty_batch_has_defaults() -> None:
    pipeline = load(tree({"bodywork.yaml": SMALL}, *SCRIPTS))
    assert pipeline.is_yaml
    assert pipeline.stages["train"].work == Batch()


def test_the_yaml_form_wins_over_the_ini_form_with_a_warning() -> None:
    both = tree({"bodywork.yaml": SMALL, "bodywork.ini": MAIN_INI, "train/config.ini": BATCH_INI}, *SCRIPTS)
    assert load(both).warnings == ("bodywork.ini: not used, since bodywork.yaml is there too: remove one of them",)


def test_an_unquoted_version_is_taken() -> None:
    assert project(SMALL.replace('"1.0"', "1.0")) == ()


def test_anchors_and_merged_mappings_are_taken_in_small_numbers() -> None:
    text = SMALL.replace("DAG: train", "DAG: train >> more").replace("train:", "train: &base")
    pipeline = load(tree({"bodywork.yaml": text + "  more:\n    <<: *base\n    args: [x]\n"}, *SCRIPTS))
    assert pipeline.stages["more"].args == ("x",)
    assert pipeline.stages["more"].script == "main.py"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('version: "1.0"\n', "", 'version: missing: write "1.0"'),
        ('"1.0"', '"2.0"', 'version: expected "1.0" or "1.1", got "2.0"'),
        ('"1.0"', '"1.1"', "pipeline: missing: schema 1.1 has it: rename the section project"),
        ("project:\n  name: iris\n  DAG: train\n", "",
         "project: missing: schema 1.0 has it: write one with name and DAG"),
        ("DAG: train", "DAG: train >> gone", "stages: stage gone, which the DAG names, not found: choose from train"),
        ("DAG: train", "DAG: train, train", 'project.DAG: stage "train" is named 2 times: a stage runs once'),
        ("DAG: train", "DAG: 5", "project.DAG: expected stages and their order, like prepare >> train >> serve, got 5"),
        ("DAG: train", "DAG: train\n  run_on_failure: x",
         "stages: stage x, which run_on_failure names, not found: choose from train"),
        ("DAG: train", "DAG: train\n  resolve_as_of: 21-3-5",
         'project.resolve_as_of: expected a day like 2021-03-05, or commit or now, got "21-3-5"'),
        ("name: iris", "name: 2021", ("project.name: expected a name: 1 to 63 letters, digits, - _ or .,"
         " with a letter or digit at both ends, got 2021")),
        ("name: iris", "name: iris\n  secrets_group: dev?", ("project.secrets_group: expected the name of a Secret"
         " (lower-case letters, digits, - .), not a secret's value")),
        ("    batch:", "    cpu_request: 1",
         "stages.train: expected batch or service, got neither: a stage is one of them"),
        ("    batch:", "    batch:\n    service:\n      port: 1",
         "stages.train: expected batch or service, got both: a stage is one of them"),
        ("    batch:", "    service:",
         "stages.train.service.port: missing: write a port, a whole number from 1 to 65535"),
        ("    batch:", '    batch:\n      retries: "2"',
         'stages.train.batch.retries: expected a whole number, 0 or more, got "2": remove the quotes'),
        ("    batch:", "    batch:\n      require: [rows > 1, accuracy]",
         f'stages.train.batch.require: expected {numbers.LIKE}, got "accuracy"'),
        ("    batch:", "    batch:\n      require: [rows > 1, accuracy: 0.9]",
         f"stages.train.batch.require: expected {numbers.LIKE}, got \"{{'accuracy': 0.9}}\""),
        ("    batch:", "    batch:\n      require: 0.9",
         f"stages.train.batch.require: expected {numbers.LIKE}, got 0.9"),
        ("    batch:", "    batch:\n      retries: true",
         "stages.train.batch.retries: expected a whole number, 0 or more, got true"),
        ("    batch:", "    batch:\n    cpu_request: .inf",
         'stages.train.cpu_request: expected a number of CPU cores like 0.5, got ".inf"'),
        ("    batch:", "    batch:\n    requirements: pandas",
         'stages.train.requirements: expected a list of texts like "pandas==2.2.3", got "pandas"'),
        ("    batch:", "    batch:\n    requirements: [-r gone.txt]",
         'stages.train.requirements: file "gone.txt" not found'),
        ("main.py", "main.ipynb",
         'stages.train.executable_module_path: file "main.ipynb" not found: did you mean main.py?'),
        ("main.py", "mian.py",
         'stages.train.executable_module_path: file "mian.py" not found: did you mean main.py?'),
        ("main.py", "gone/serve.py",
         'stages.train.executable_module_path: file "gone/serve.py" not found: did you mean serve.py?'),
        ("main.py", "../main.py",
         ("stages.train.executable_module_path: expected a path below the folder, with / and without ..,"
         ' got "../main.py"')),
        ("    executable_module_path: main.py\n", "",
         "stages.train.executable_module_path: missing: write a Python file like train.py"),
        ("name: iris", "name: iris\n  name: b", 'line 4: the key "name" appears twice: remove one'),
        ("name: iris", "name: !!python/object:os.system iris",
         'line 3: the tag "tag:yaml.org,2002:python/object:os.system" is not supported: remove it'),
        ("name: iris", "name: [", "line 3, column 9: [ is opened and never closed: write ] at its end"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_its_place(old: str, new: str, problem: str) -> None:
    place = "bodywork.yaml:9" if "requirements: file" in problem else "bodywork.yaml"  # of requirements, the line too
    assert f"{place}: {problem}" in project(SMALL.replace(old, new, 1))


def test_a_mistake_in_a_requirement_is_shown_with_its_line() -> None:
    lines = "\n".join(
        f"      - {line}" for line in ("six", "&u git+https://a:pw@h/r", '"-r \\\n gone.txt"', "pandas=1", "*u")
    )
    found = project(SMALL.replace("    batch:", f"    batch:\n    requirements:\n{lines}", 1))
    place = "stages.train.requirements: "
    assert found == (
        f"bodywork.yaml:11: {place}holds credentials: remove them, and give them by the request's git-secret",
        f'bodywork.yaml:12: {place}file "gone.txt" not found',
        f'bodywork.yaml:14: {place}expected a version like ==2.2.3 after pandas, got "=1": write pandas==1',
    )


@pytest.mark.parametrize("separator", ["\\n", "\\r", "\\v", "\\x85", "\\u2028"])
def test_a_requirement_with_line_breaks_is_judged_without_a_traceback(separator: str) -> None:
    found = project(SMALL.replace("    batch:", f'    batch:\n    requirements: ["a{separator}b=1{separator}c=1"]', 1))
    assert "bodywork.yaml:9: stages.train.requirements: expected a version" in "".join(found)


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ("DAG: train", "DAG: train\n  namespace: ml",
         "project.namespace: not used: everything runs in the request's namespace"),
        ("    batch:", "    batch:\n      retrys: 1",
         "stages.train.batch.retrys: unknown key, not used: did you mean retries?"),
        ("    batch:", "    batch:\n    memory_mb: 1",
         "stages.train.memory_mb: unknown key, not used: did you mean"),
        ("stages:", "loging: {}\nstages:", "loging: unknown key, not used: did you mean logging?"),
        ("stages:", "stages:\n  idle:\n    executable_module_path: x.py\n    batch: {}",
         "stages.idle: is not in the DAG: it never runs"),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_a_warning(old: str, new: str, warning: str) -> None:
    (line,) = load(tree({"bodywork.yaml": SMALL.replace(old, new, 1)}, *SCRIPTS)).warnings
    assert line.startswith(f"bodywork.yaml: {warning}")


def test_all_problems_are_reported_at_once() -> None:
    text = SMALL.replace("iris", "'-'").replace("main.py", "x.sh").replace("batch:", "batch: {retries: -1}\n    gpu: x")
    assert len(project(text + "logging:\n  log_level: loud\n")) == 5


@pytest.mark.parametrize("wrong", ["batch: {retries: -1}", "batch: {}\n    gpu: x", "batch: {}\n    args: [1]"])
def test_a_mistake_in_another_key_hides_none_in_the_requirements(wrong: str) -> None:
    one, *more = project(SMALL.replace("batch:", f"requirements: [../lib]\n    {wrong}"))
    assert len(more) == 1
    assert "stages.train.requirements" in one + more[0]


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
DOUBLING = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 25))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (LAUGHS, "aliases"),
        (DOUBLING, "aliases (*name) written out"),
        ("[" * 100_000, "nested more than 12 levels deep"),
        ("- " * 100_000, "nested more than 12 levels deep"),
        ("a: &a [*a]", "refers to what it is in"),
        ("a: *b", "line 1, column 4: not valid YAML: found undefined alias"),
        ("a: &a {<<: *a}", "refers to what it is in"),
        ("a,\n" * 80_000, ""),
        ("- 1\n" * 60_000, "more than 20000 values"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: not valid YAML: but found another document"),
        ("a: \x01", "line 1, column 4: the control character U+0001: remove it"),
        ("\ta: 1", "line 1, column 1: a tab: YAML takes only spaces there"),
        ("? [a]\n: b\n", "a key must be plain text"),
        ("text", "expected version, project (or pipeline) and stages"),
        ("", "expected version, project (or pipeline) and stages, got nothing"),
        ("2020-13-45", "expected version"),
        ("1:" * 50_000 + "1", "expected version"),
        ("9" * 200_000, "expected version"),
    ],
)
def test_bombs_and_garbage_are_refused(text: str, part: str) -> None:
    lines = project(text)
    assert any(part in line for line in lines)


def test_a_dag_that_is_missing_hides_no_mistake_of_a_stage() -> None:
    stage = "stages:\n  train:\n    executable_module_path: train/nope.py\n    batch: {}\n"
    lines = project(f'version: "1.0"\nproject:\n  name: iris\n  dag: train\n{stage}')
    assert any("DAG: missing" in line for line in lines)
    assert any("train/nope.py" in line for line in lines)
    assert not any("never runs" in line for line in lines)


TEXT_BEFORE = 'version: "1.0"\nproject:\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('  name:"iris"\n  DAG: train\n', "line 3, column 8: no space after the colon: write name: and then the value"),
        ('  DAG: train\n  name:"iris"\nstages: x\n',
         "line 4, column 8: no space after the colon: write name: and then the value"),
        ("  # one\n  name:iris\n\n  # two\n  DAG: train\n",
         "line 4, column 8: no space after the colon: write name: and then the value"),
        ("  name:iris\n  DAG:train\n  x: 1\n",
         "line 3, column 8: no space after the colon: write name: and then the value"),
        ("  name:iris\n", "project: expected a section with keys of its own: write a space after the colon of name:"),
        ("  name: iris\n\tDAG: train\n", "line 4, column 1: a tab: YAML takes only spaces there"),
        ("  name: iris\n  \tDAG: train\n", "line 4, column 3: a tab: YAML takes only spaces there"),
        ("  DAG:\n  -\ttrain\n", "line 4, column 4: a tab: YAML takes only spaces there"),
        ("  name: iris: two\n", "line 3, column 13: a second colon: put a value that holds one into quotes"),
        ('  name: "iris\n  DAG: train\n', 'line 3, column 9: " is opened and never closed: write " at its end'),
        ("  name: @iris\n", "line 3, column 9: no value starts with @: put the value into quotes"),
        ('  name: "\\d"\n', "line 3, column 10: not valid YAML: found unknown escape character"),
        ("   name: iris\n  DAG: train\n",
         "line 4, column 3: not valid YAML: did not find expected key: check the indentation"),
        ("<<<<<<< HEAD\n  name: a\n=======\n  name: b\n>>>>>>> other\n",
         "line 3, column 1: a conflict marker of Git: resolve the conflict"),
        ("  name: é\x07\n", "line 3, column 10: the control character U+0007: remove it"),
    ],
)  # fmt: skip
def test_a_mistake_of_syntax_is_reported_with_the_line_and_column_where_it_is(text: str, problem: str) -> None:
    assert f"bodywork.yaml: {problem}" in project(TEXT_BEFORE + text)


@given(st.text(st.sampled_from("ab:\"'[]{}-?&*!|>%@`#, \n\t\x07é\u2028"), max_size=60))
def test_no_garbled_text_breaks_the_description_of_what_is_wrong_with_it(text: str) -> None:
    assert all(line.isprintable() for line in project(TEXT_BEFORE + text))


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\0"'])
def test_what_no_process_can_be_given_is_refused(text: str) -> None:
    for key in ("env: {A: %s}", "args: [%s]"):
        assert project(SMALL.replace("    batch:", "    batch:\n    " + key % text))


def test_a_secret_whose_name_grows_too_long_is_reported() -> None:
    text = FULL.replace("credentials", "c" * 250)
    assert project(text) == (
        "bodywork.yaml: stages.serve.secrets: a name of a Secret is too long with its secrets_group before it",
    )


def test_a_failure_stage_is_one_of_the_stages_and_in_no_step() -> None:
    text = SMALL.replace("DAG: train", "DAG: train\n  run_on_failure: alert\n  resolve_as_of: 2021-03-05", 1)
    text += "  alert:\n    executable_module_path: main.py\n    batch:\n"
    pipeline = load(tree({"bodywork.yaml": text}, *SCRIPTS))
    assert (pipeline.run_on_failure, pipeline.resolve_as_of) == ("alert", "2021-03-05")
    assert (set(pipeline.stages), pipeline.steps, pipeline.warnings) == ({"train", "alert"}, (("train",),), ())


@pytest.mark.parametrize(
    ("written", "optional"),
    [
        ("credentials?", True),
        ("{name: credentials}", False),
        ("{name: credentials, optional: false}", False),
        ("{name: credentials, optional: true}", True),
        ("{name: 'credentials?', optional: true}", True),
    ],
)
def test_a_secret_may_be_optional_and_belongs_to_its_group_as_others_do(written: str, optional: bool) -> None:
    text = FULL.replace("USERNAME: credentials", f"USERNAME: {written}")
    stage = load(tree({"bodywork.yaml": text}, *SCRIPTS)).stages["serve"]
    assert stage.secrets == (Secret("USERNAME", "dev-credentials", "USERNAME", optional=optional),)


@pytest.mark.parametrize(
    "written", ["{}", "{name: 5}", "{nmae: aws}", "{name: aws, optional: maybe}", "{name: aws, key: x}", "[aws]"]
)
def test_a_secret_in_another_form_is_refused_with_the_right_one(written: str) -> None:
    (problem,) = project(FULL.replace("USERNAME: credentials", f"USERNAME: {written}"))
    assert problem.startswith("bodywork.yaml: stages.serve.secrets.USERNAME: expected the name of a Secret")


def test_an_optional_secret_may_be_as_long_as_any() -> None:
    assert project(FULL.replace("credentials", "c" * 249 + "?")) == ()
