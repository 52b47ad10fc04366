"""The DAG: `prepare >> train-a, train-b >> serve`. Steps in order, the stages of a step at once.

Refuses empty names, white space inside a name, names that no object can carry, a stage twice, and two names that become
one Kubernetes name.
"""

import re
from collections import Counter
from itertools import chain

from controller.core import names
from controller.core.text import invisible, quoted

STAGE_LIMIT = 100
NAME_LIMIT = 63

STAGE_NAME = rf"(?=.{{1,{NAME_LIMIT}}}\Z)[A-Za-z0-9_][A-Za-z0-9._-]*"
Steps = tuple[tuple[str, ...], ...]
_ARROW = re.compile(r"[-=]*>|→|\|")  # what others write between steps


def parse(text: str) -> tuple[Steps, tuple[str, ...]]:
    """Return the steps, and a sentence for each problem (then the steps hold what could be read)."""
    steps = tuple(tuple(name.strip() for name in step.split(",")) for step in text.split(">>"))
    stages = tuple(chain.from_iterable(steps))
    if not any(stages):
        return (), ("names no stage: write one, like prepare >> train >> serve",)
    if len(stages) > STAGE_LIMIT:
        return (), (f"names {len(stages)} stages: {STAGE_LIMIT} at most",)
    problems = [
        f"step {number} of {len(steps)} has an empty name: remove the >> or , too many"
        for number, step in enumerate(steps, start=1)
        if not all(step)
    ]
    named = Counter(name for name in stages if name)
    problems += filter(None, map(_name_problem, named))
    problems += [
        f"stage {quoted(name)} is named {count} times: a stage runs once" for name, count in named.items() if count > 1
    ]
    # Stages that are separated otherwise are known: what is wrong with them is said at once, too.
    read = [tuple(part.strip() for name in step for part in _ARROW.split(name)) for step in steps]
    left = {name for step in read for name in step if is_stage_name(name)}
    good = []
    for step in read:
        good.append(tuple(name for name in dict.fromkeys(step) if name in left))
        left.difference_update(step)
    return tuple(good), (*problems, *_colliding(list(named)))


def is_stage_name(name: str) -> bool:
    """Return whether a stage can have this name: it is also a folder, a status key and part of object names."""
    return re.fullmatch(STAGE_NAME, name) is not None


def failure_problems(name: str, steps: Steps) -> list[str]:
    """Return a sentence for each reason why a stage can't be the one that runs when a run has failed.

    It is in no step: a run runs each stage once, and keeps one state, one Job and one folder of logs for each.
    """
    stages = list(chain.from_iterable(steps))
    if name in stages:
        return [f"stage {name} is in the DAG too: a stage runs once: give a copy of it another name"]
    return _colliding([*stages, name])


def _colliding(stages: list[str]) -> list[str]:
    """Return a sentence for each two names whose Kubernetes objects would have one name."""
    problems, first = [], dict[str, str]()
    for name in filter(is_stage_name, dict.fromkeys(stages)):
        other = first.setdefault(names.kubernetes_name(name), name)
        if other != name:
            problems.append(f"stages {other} and {name} both become {names.kubernetes_name(name)}: rename one")
    return problems


def _name_problem(name: str) -> str:
    """Return what is wrong with a stage's name, "" if nothing is."""
    if arrow := _ARROW.search(name):
        return f"{quoted(name)}: write >> between steps, not {arrow[0]}"
    if re.search(r"[ \t\r\n\f\v]", name):
        return f"{quoted(name)} has white space inside: steps are separated by >>, stages by a comma"
    if hidden := invisible(name):
        return f"{quoted(name)} {hidden}"
    if is_stage_name(name):
        return ""
    rule = f"at most {NAME_LIMIT} letters, digits, - _ and ., starting with a letter, digit or _"
    return f"expected a stage's name ({rule}), got {quoted(name)}"
