"""The Secrets that stages use, held against those that are there. No value is looked at."""

from collections import defaultdict
from dataclasses import dataclass

from controller.core.manifests import RunContext
from controller.core.model import Record
from controller.core.plan.decision import Observed
from controller.core.plan.needs import Live
from controller.core.text import OR_ASK


@dataclass(frozen=True, slots=True)
class MissingSecret:
    """A Secret, or keys of one, that stages need and that are not there; the line has the remedy."""

    stages: tuple[str, ...]
    line: str


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is missing, and the resourceVersion of each Secret that is there, by name."""

    missing: tuple[MissingSecret, ...]
    versions: tuple[tuple[str, str], ...]


def secrets_of(context: RunContext, record: Record, observed: Observed) -> Secrets:
    """Return how the Secrets stand of stages that may still start; the failure stage is one of them."""
    waiting = {name for name, stage in record.stages.items() if stage.state == "Waiting"}
    keys: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))  # by Secret and key: who needs it
    for name in sorted(context.pipeline.stages.keys() & {*waiting, context.pipeline.run_on_failure}):
        for item in context.pipeline.stages[name].secrets:
            keys[item.secret][item.key] += [] if item.optional else [name]
    observed.require(*(Live("Secret", name) for name in keys))
    there = {name: observed.ask(Live("Secret", name)) for name in sorted(keys)}
    missing, on = list[MissingSecret](), f"kubectl -n {context.policy.namespace}"
    for name, secret in there.items():
        present = set((secret or {}).get("data") or {})
        lacks = {key: users for key, users in sorted(keys[name].items()) if users and key not in present}
        if not lacks:
            continue
        stages = tuple(sorted({stage for users in lacks.values() for stage in users}))
        listed, whose = ", ".join(lacks), f"(stage {', '.join(stages)})"
        if secret is None:
            literals = " ".join(f"--from-literal={key}=…" for key in lacks)
            line = f"Secret {name} with {listed} not found {whose}: {on} create secret generic {name} {literals}"
        else:
            pairs = ", ".join(f'"{key}": "…"' for key in lacks)
            remedy = f"{on} patch secret {name} -p '{{\"stringData\": {{{pairs}}}}}'"
            line = f"Secret {name} has no key {listed} {whose}: {remedy}"
        missing.append(MissingSecret(stages, line + OR_ASK))
    versions = ((name, secret["metadata"].get("resourceVersion", "")) for name, secret in there.items() if secret)
    return Secrets(tuple(missing), tuple(versions))
