"""The DAG: `prepare >> train-a, train-b >> serve`. Steps in order, the stages of a step at once.

Refuses empty names, white space inside a name, names that no object can carry, a stage twice, and two names that become
one Kubernetes name.
"""

import re
from itertools import chain

from controller.core import names
from controller.core.text import invisible, quoted

STAGE_LIMIT = 100
NAME_LIMIT = 63

Steps = tuple[tuple[str, ...], ...]


def parse(text: str) -> tuple[Steps, tuple[str, ...]]:
    """Give the steps, and a sentence for each problem (then the steps hold what could be read)."""
    steps = tuple(tuple(name.strip() for name in step.split(",")) for step in text.split(">>"))
    stages = tuple(chain.from_iterable(steps))
    if not any(stages):
        return (), ("names no stage: write one, like prepare >> train >> serve",)
    if len(stages) > STAGE_LIMIT:
        return (), (f"names {len(stages)} stages: {STAGE_LIMIT} at most",)
    empty = [
        f"step {number} of {len(steps)} has an empty name: remove the >> or , too many"
        for number, step in enumerate(steps, start=1)
        if not all(step)
    ]
    named = [name for name in stages if name]
    return _named(steps), (*empty, *_bad(named), *_twice(named), *colliding(named))


def is_stage_name(name: str) -> bool:
    """Tell whether a stage can have this name: it is also a folder, a status key and part of object names."""
    return len(name) <= NAME_LIMIT and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) is not None


def colliding(stages: list[str]) -> list[str]:
    """Give a sentence for each two names whose Kubernetes objects would have one name."""
    problems, seen = [], dict[str, str]()
    for name in filter(is_stage_name, dict.fromkeys(stages)):
        other = seen.setdefault(names.kubernetes_name(name), name)
        if other != name:
            problems.append(f"stages {other} and {name} both become {names.kubernetes_name(name)}: rename one")
    return problems


def _named(steps: Steps) -> Steps:
    """Give the steps with each good name once."""
    seen: set[str] = set()
    good = []
    for step in steps:
        good.append(tuple(name for name in dict.fromkeys(step) if is_stage_name(name) and name not in seen))
        seen.update(step)
    return tuple(good)


def _bad(stages: list[str]) -> list[str]:
    """Give a sentence for each name that can't be one."""
    problems = []
    for name in dict.fromkeys(stages):
        if re.search(r"[ \t\r\n\f\v]", name):
            problems.append(f"{quoted(name)} has white space inside: steps are separated by >>, stages by a comma")
        elif hidden := invisible(name):
            problems.append(f"{quoted(name)} {hidden}")
        elif not is_stage_name(name):
            rule = f"at most {NAME_LIMIT} letters, digits, - _ and ., starting with a letter, digit or _"
            problems.append(f"{quoted(name)} is no stage's name: {rule}")
    return problems


def _twice(stages: list[str]) -> list[str]:
    """Give a sentence for each stage that is named more than once."""
    repeated = dict.fromkeys(name for name in stages if stages.count(name) > 1)
    return [f"stage {quoted(name)} is named {stages.count(name)} times: a stage runs once" for name in repeated]
