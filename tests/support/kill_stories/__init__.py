"""Stories for `tests/support/kills.py`."""

from tests.support.kill_stories import everyday, trouble
from tests.support.kill_stories.telling import DAILY, TROUBLED

STORIES = {**DAILY, **TROUBLED}

__all__ = ["DAILY", "STORIES", "TROUBLED", "everyday", "trouble"]
