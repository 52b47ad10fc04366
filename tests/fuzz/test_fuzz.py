"""Whatever comes from outside ends in a value or in one of our errors, in a line, soon, and in bounded memory.

Seeds are in corpus/TARGET: what is usual, what is odd, and each input that has ever shown a defect.
`python -m tests.fuzz.hunt` draws other inputs than these, for as long as it is let.
"""

import json
from random import Random
from typing import Any

import pytest

from tests.fuzz import cluster, documents, edges, inputs, scripts
from tests.fuzz.judging import Defect, forget_peak, judged
from tests.fuzz.mutation import Mutator
from tests.fuzz.target import CORPUS, Target

TARGETS = {target.name: target for module in (inputs, documents, cluster, scripts, edges) for target in module.TARGETS}
PROMISED = 100_000  # inputs of `make test-long`
SAMPLE = 200  # the part of it that `make test` draws
CHUNK = 2_000  # inputs of one test: so all workers have some


def draws(target: Target, number: int, size: int) -> int:
    """Judge the mutants of one chunk; return how many."""
    draw, seeds = Random(f"{target.name} {number}"), list(target.seeds.values())  # noqa: S311 (the same at each run)
    mutator = Mutator(draw, target.words, seeds, typed=target.typed)
    forget_peak()
    for _ in range(size):
        check(target, mutator.mutated(draw.choice(seeds)))
    return size


def check(target: Target, value: Any) -> None:
    try:
        judged(target.work, value)
    except Defect as defect:
        shown = json.dumps(value) if isinstance(value, str | dict | list) else repr(value)
        pytest.fail(
            f"{target.name}: {defect.why}\nwith this, which goes into {CORPUS / target.name}:\n{shown[:20_000]}"
        )


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_and_a_sample_of_mutants_end_well(name: str) -> None:
    target = TARGETS[name]
    forget_peak()
    for seed in target.seeds.values():
        check(target, seed)
    draws(target, 0, max(target.share // SAMPLE, 5))


CHUNKS = [
    pytest.param(target.name, number, min(CHUNK, target.share - CHUNK * (number - 1)), id=f"{target.name}-{number}")
    for target in TARGETS.values()
    for number in range(1, -(-target.share // CHUNK) + 1)
]


@pytest.mark.long
@pytest.mark.parametrize(("name", "number", "size"), CHUNKS)
def test_many_mutants_end_well(name: str, number: int, size: int) -> None:
    assert draws(TARGETS[name], number, size) == size


def test_as_many_are_drawn_as_is_promised_and_no_seed_is_left_out() -> None:
    assert sum(target.share for target in TARGETS.values()) >= PROMISED
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
