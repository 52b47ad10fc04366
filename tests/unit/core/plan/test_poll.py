"""When requests poll: all of a repository at the same moments, and their passes spread over some time after it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controller.core.documents.codec import Good
from controller.core.errors import NotYet
from controller.core.model import Record, Request
from controller.core.plan import Known, Observed, Poll
from controller.core.plan.decision import Unanswered
from controller.core.plan.needs import Commit
from controller.core.plan.poll import poll

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVERY = (10, 30, 60, 300, 3600)


def known(uid: str, every: int, last: Poll | None = None) -> Known:
    request = Request("iris", uid, "https://git.example/iris", poll=every)
    return Known(request, Good(Record(uid)), poll=last)


def asked(of: Known, now: datetime) -> tuple[datetime | None, Poll | None]:
    """Return as of when a pass asks for the commit, None: not now; and what is remembered after it."""
    try:
        return None, poll(of, Observed(), now)
    except Unanswered as unanswered:
        (question,) = unanswered.needs.questions
        assert isinstance(question, Commit)
        return question.since, poll(of, Observed(answers={question: "c" * 40}), now)


@given(st.sampled_from(EVERY), st.sets(st.text("abc", min_size=1), min_size=2), st.integers(0, 10**6))
def test_requests_of_one_repository_ask_as_of_one_moment_in_each_interval(
    every: int, uids: set[str], later: int
) -> None:
    start, moments = NOON + timedelta(seconds=later), set[datetime]()
    for uid in uids:
        _, first = asked(known(uid, every), start)
        assert first
        assert first.due
        assert start < first.due <= start + timedelta(seconds=every)
        _, unmoved = asked(known(uid, every, first), first.due - timedelta(milliseconds=1))
        assert unmoved == first
        since, after = asked(known(uid, every, first), first.due + timedelta(seconds=1))
        assert since
        assert timedelta() <= first.due - since <= timedelta(seconds=min(every / 4, 20))
        assert after == replace(first, commit="c" * 40, due=first.due + timedelta(seconds=every))
        busy = poll(known(uid, every, first), Observed(answers={Commit(since): NotYet(5.0, "busy")}), first.due)
        assert busy
        assert busy.due
        assert timedelta(seconds=5) <= busy.due - first.due <= timedelta(seconds=20)
        again, _ = asked(known(uid, every, busy), busy.due)
        assert again in (since, since + timedelta(seconds=every))
        moments.add(since)
    assert max(moments) - min(moments) in (timedelta(), timedelta(seconds=every))
