"""Stages that run many times at once, in both forms of a project: what is read, and what is refused."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.inputs.project import load
from controller.core.inputs.project.parallel import each_of
from controller.core.model import Batch, Parallel
from tests.support.projects import BATCH_INI, MAIN_INI, one_stage, problems_of, tree

YAML = """\
version: "1.1"
pipeline: {name: iris, DAG: train}
stages:
  train:
    executable_module_path: main.py
    batch: {%s}
"""
GRID = (("ALPHA", ("0.1", "0.3")), ("DEPTH", ("3", "5")))


def of_ini(keys: str) -> Parallel | None:
    work = load(one_stage(f"{BATCH_INI}\n[batch]\n{keys}", MAIN_INI)).stages["train"].work
    assert isinstance(work, Batch)
    return work.parallel


def of_yaml(keys: str) -> Parallel | None:
    work = load(tree({"bodywork.yaml": YAML % keys}, "main.py")).stages["train"].work
    assert isinstance(work, Batch)
    return work.parallel


@pytest.mark.parametrize(
    ("ini", "yaml", "expected"),
    [
        ("RETRIES = 1", "retries: 1", None),
        ("PARALLEL = 8", "parallel: 8", Parallel(8, (), 8)),
        ("PARALLEL = 1", "parallel: 1", Parallel(1, (), 1)),
        ("PARALLEL = 256\nAT_ONCE = 20", "parallel: 256, at_once: 20", Parallel(256, (), 20)),
        ("PARALLEL = 3\nAT_ONCE = 9", "parallel: 3, at_once: 9", Parallel(3, (), 3)),
        ("FOR_EACH = ALPHA: 0.1, 0.3; DEPTH: 3, 5", "for_each: {ALPHA: [0.1, 0.3], DEPTH: [3, 5]}",
         Parallel(4, GRID, 4)),
        ("FOR_EACH = ALPHA: 0.1, 0.3 ; DEPTH: 3, 5 ; # pairs", "for_each: {ALPHA: [0.1, 0.3], DEPTH: [3, 5]}",
         Parallel(4, GRID, 4)),
        ("FOR_EACH = ALPHA: 0.1, 0.3\n  DEPTH: 3,5 ;", 'for_each: "ALPHA: 0.1, 0.3; DEPTH: 3, 5"',
         Parallel(4, GRID, 4)),
        ("FOR_EACH = URL: http://a:1/x, y z", 'for_each: {URL: ["http://a:1/x", "y z"]}',
         Parallel(2, (("URL", ("http://a:1/x", "y z")),), 2)),
        ("FOR_EACH = A: 1", "for_each: {A: 1}", Parallel(1, (("A", ("1",)),), 1)),
        ("PARALLEL = 3\nPEERS = True", "parallel: 3, peers: true", Parallel(3, (), 3, peers=True)),
    ],
)  # fmt: skip
def test_both_forms_say_the_same(ini: str, yaml: str, expected: Parallel | None) -> None:
    assert (of_ini(ini), of_yaml(yaml)) == (expected, expected)


@pytest.mark.parametrize(
    ("keys", "key", "sentence"),
    [
        ("PARALLEL = 0", "PARALLEL", "expected a whole number from 1 to 256, got 0"),
        ("PARALLEL = 257", "PARALLEL", "expected a whole number from 1 to 256, got 257"),
        ("PARALLEL = 2\nFOR_EACH = A: 1", "PARALLEL", "for_each says how many"),
        ("AT_ONCE = 2", "AT_ONCE", "nothing to limit"),
        ("PEERS = True", "PEERS", "expected a stage with parallel, 2 or more"),
        ("PEERS = True\nPARALLEL = 1", "PEERS", "expected a stage with parallel, 2 or more"),
        ("PEERS = True\nFOR_EACH = A: 1, 2", "PEERS", "expected a stage with parallel, 2 or more"),
        ("PEERS = True\nPARALLEL = 2\nAT_ONCE = 1", "AT_ONCE", "peers run all at once"),
        ("PEERS = many\nPARALLEL = 2", "PEERS", "expected true or false"),
        ("FOR_EACH = 1, 2", "FOR_EACH", 'expected values like ALPHA: 0.1, 0.3; DEPTH: 3, 5, got "1, 2"'),
        ("FOR_EACH = A: 1, 1", "FOR_EACH", '"A" has the value "1" twice'),
        ("FOR_EACH = A: 1,", "FOR_EACH", '"A" has an empty value'),
        ("FOR_EACH = A: 1; A: 2", "FOR_EACH", '"A" appears twice'),
        ("FOR_EACH = A: [1, 2]", "FOR_EACH", '"A" has its values in brackets: remove the [ and ]'),
        ("FOR_EACH = A: 1, 2, B: 3, 4", "FOR_EACH", 'expected a ; between variables, got a comma before "B: 3"'),
        ("FOR_EACH = PORT: 1", "FOR_EACH", '"PORT" is set by Coachwork itself'),
        ("FOR_EACH = COACHWORK_X: 1", "FOR_EACH", "is set by Coachwork itself"),
        ("FOR_EACH = a-b: 1", "FOR_EACH", '"a-b" can\'t name a variable'),
        ("FOR_EACH = A: 1, 2\n[env]\nA = 3", "FOR_EACH", '"A" is in env as well'),
        ("FOR_EACH = A: 1, 2\n[secrets]\nA = aws", "FOR_EACH", '"A" is in secrets as well'),
        (f"FOR_EACH = {'; '.join(f'{name}: 1, 2, 3, 4, 5, 6, 7' for name in 'ABC')}", "FOR_EACH",
         "makes 343 indexes: 256 at most"),
        (f"FOR_EACH = A: {', '.join(f'{at:03}' * 300 for at in range(40))}", "FOR_EACH",
         "has 36001 characters of names and values: 32768 at most"),
        ("PARALLEL = 2\nREQUIRE = rmse <= previous", "REQUIRE", "no index has a previous number"),
    ],
)  # fmt: skip
def test_what_can_t_be_is_refused_at_its_key(keys: str, key: str, sentence: str) -> None:
    (line,) = problems_of(one_stage(f"{BATCH_INI}\n[batch]\n{keys}", MAIN_INI))
    assert line.startswith(f"train/config.ini: [batch] {key}: ")
    assert sentence in line


@pytest.mark.parametrize(("before", "entry", "between"), [("A: ", "%d", ", "), ("", "A%d: 1", "; ")])
def test_a_list_of_any_length_is_judged_at_once(before: str, entry: str, between: str) -> None:
    begun = time.process_time()
    _, problems = each_of(before + between.join(entry % at for at in range(60_000)))
    assert any("characters of names and values" in line for line in problems)
    assert time.process_time() - begun < 4, "with each compared with each it takes much longer"


@pytest.mark.parametrize(
    ("each", "sentence"),
    [
        ("[1, 2]", "expected values like"),
        ("5", "expected values like ALPHA: 0.1, 0.3; DEPTH: 3, 5, got 5"),
        ("{}", "expected values like"),
        ("{A: [true]}", '"A" expected texts and numbers, got true: put it in quotes'),
        ("{A: [[1]]}", '"A" expected texts and numbers, got '),
        ("{A: {}}", '"A" expected texts and numbers, got '),
        ("{A: []}", '"A" has an empty value'),
        ('{A: ["a\\0b"]}', '"A" holds a NUL'),
    ],
)
def test_a_mapping_of_other_things_is_refused(each: str, sentence: str) -> None:
    (line,) = problems_of(tree({"bodywork.yaml": YAML % f"for_each: {each}"}, "main.py"))
    assert line.startswith(f"bodywork.yaml: stages.train.batch.for_each: {sentence}")


@given(st.lists(st.lists(st.integers(0, 99).map(str), min_size=1, max_size=4, unique=True), min_size=1, max_size=4))
def test_the_indexes_have_all_combinations_once(values: list[list[str]]) -> None:
    each = tuple((f"V{at}", tuple(own)) for at, own in enumerate(values))
    count = 1
    for own in values:
        count *= len(own)
    parallel = Parallel(count, each)
    found: list[Any] = [parallel.values(index) for index in range(count)]
    assert len(set(found)) == count
    assert all([name for name, _ in one] == [name for name, _ in each] for one in found)
