"""What holds for all tests.

Hypothesis looks at what comes out, and never at how long it took: quickly (`make test`) or long (`make test-long`).
"""

import os
import signal

from hypothesis import settings

settings.register_profile("quick", deadline=None, max_examples=40)
settings.register_profile("long", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("quick")

for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:  # under nohup, or behind a shell's `&`: commands would inherit it
        signal.signal(number, usual)


def pytest_xdist_auto_num_workers() -> int:
    """Give half again as many workers as there are cores: tests wait for processes as much as they compute."""
    return (os.cpu_count() or 1) * 3 // 2
