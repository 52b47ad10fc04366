"""An answer serves exactly those who asked before its question began, with the same credentials; in every order."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.adapters.git import answers as module
from controller.adapters.git.answers import Answers
from controller.adapters.git.remote import Refs, Remote
from controller.core.errors import NotYet, Transient
from controller.core.model import GitCredentials
from tests.support.examples import share

URL = "https://git.example/iris"
REMOTES = (Remote(URL), Remote(URL, GitCredentials("ada", "x")), Remote(URL, GitCredentials("bob", "y")))

Step: TypeAlias = tuple[str, int, Sequence["Step"]]
"""push; ask, as one of REMOTES; serve the oldest that asked as one of REMOTES; break down or mend: the server. What
else happens between the beginning and the end of an ls-remote, if that comes to one, comes third."""

KINDS = st.sampled_from(["push", "ask", "ask", "serve", "serve", "break"])
STEPS = st.recursive(
    st.lists(st.tuples(KINDS, st.integers(0, 2), st.just(())), max_size=12),
    lambda inner: st.lists(st.tuples(KINDS, st.integers(0, 2), inner), max_size=8),
    max_leaves=30,
)


@dataclass
class Host:
    """A server with one branch, and those who ask for it."""

    pushed: int = 0
    down: bool = False
    shared: int = 0
    asked: list[tuple[Remote, float, int]] = field(default_factory=list)  # who, when, and what was pushed before
    begun: dict[Remote, list[float]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.answers = Answers(0.0, self.share)

    def share(self) -> None:
        self.shared += 1

    def play(self, steps: Sequence[Step]) -> None:
        for kind, number, meanwhile in steps:
            match kind:
                case "push":
                    self.pushed += 1
                case "break":
                    self.down = not self.down
                case "ask":
                    self.asked.append((REMOTES[number], time.monotonic(), self.pushed))
                case _:
                    self.serve(REMOTES[number], meanwhile)

    def serve(self, who: Remote, meanwhile: Sequence[Step]) -> None:
        waiting = next((item for item in self.asked if item[0] == who), None)
        if waiting is None:
            return
        self.asked.remove(waiting)
        _, since, before = waiting
        fresh = not any(began >= since for began in self.begun[who])
        questions, shared = len(self.begun[who]), self.shared

        def question() -> Refs:
            self.begun[who].append(time.monotonic())
            said, down = f"{self.pushed} {REMOTES.index(who)}", self.down
            self.play(meanwhile)
            if down:
                raise Transient("GitUnreachable", said)
            return Refs({"refs/heads/main": said})

        try:
            said = self.answers.get(who, since, question).commits["refs/heads/main"]
        except Transient as error:
            said = str(error)
        except NotYet:
            self.asked.insert(0, waiting)  # a question of these credentials is under way
            return
        found, of = said.split()
        assert int(found) >= before
        assert of == str(REMOTES.index(who))
        if fresh:
            assert len(self.begun[who]) > questions
        else:
            assert (len(self.begun[who]), self.shared) == (questions, shared + 1)


AN_OLD_ERROR: list[Step] = [  # while the server, which was down, is asked again
    *(("break", 0, ()), ("ask", 0, ()), ("serve", 0, ()), ("push", 0, ())),
    *(("ask", 0, ()), ("ask", 0, ()), ("serve", 0, [("serve", 0, ())])),
]


@given(STEPS)
@example(AN_OLD_ERROR)
@settings(deadline=None, max_examples=share(1.0))
def test_whoever_asks_hears_of_every_push_before_and_no_question_is_put_twice(steps: list[Step]) -> None:
    Host().play(steps)


def test_what_is_large_or_old_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOM", 10)
    answers, asked = Answers(0.0, lambda: None), list[str]()

    def get(name: str, size: int) -> None:
        def question() -> Refs:
            asked.append(name)
            return Refs({f"refs/heads/{number}": "1" for number in range(size)})

        answers.get(Remote(name), 0.0, question)

    for name, size in (("a", 4), ("b", 4), ("a", 4), ("c", 4), ("a", 4), ("b", 4), ("c", 4), ("large", 11)):
        get(name, size)
    assert asked == ["a", "b", "c", "a", "b", "c", "large"]
    get("large", 11)
    assert asked[7:] == ["large"]
    monkeypatch.setattr(module, "KEPT", 0.0)
    get("a", 1)
    get("a", 1)
    assert asked[8:] == ["a", "a"]
