"""Controllers that are killed again and again while all kinds of runs go on; `python -m bench.kills` is more of it."""

import pytest

from tests.support.e2e import NAMESPACE, Coachwork, kubectl
from tests.support.killing import KILL, KILL_GIT, Storm, in_a_loop, orphans

pytestmark = pytest.mark.alone


def test_ten_kills_lose_nothing_and_double_nothing(coachwork: Coachwork) -> None:
    with in_a_loop(coachwork) as pod:
        storm = Storm(coachwork)
        hand = f"{KILL}; {KILL_GIT}"
        storm.live(lambda: kubectl("-n", NAMESPACE, "exec", pod, "--", "sh", "-c", hand), 10, least=0.2, most=6.0)
        assert all(load.runs for load in storm.loads)
        assert orphans(coachwork) == []
