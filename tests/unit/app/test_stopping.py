"""A process that is asked for its end ends, however often it is asked."""

import subprocess
import sys

SCRIPT = """
import signal, threading
from controller.app.stopping import stop_on_signals

stopping, notify_all = stop_on_signals(), threading.Condition.notify_all

def with_a_second_signal(self):
    threading.Condition.notify_all = notify_all
    signal.raise_signal(signal.SIGTERM)
    notify_all(self)

threading.Condition.notify_all = with_a_second_signal
signal.raise_signal(signal.SIGTERM)
print(stopping.wait(30))
"""


def test_a_second_signal_while_the_first_is_taken_holds_nothing_up() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "True\n"
