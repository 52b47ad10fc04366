"""The signals that end a command that goes on until a person ends it."""

import signal
import threading


def stop_on_signals() -> threading.Event:
    """Return what the signals set that ask for an end; a hang-up only where it is not ignored, as by nohup."""
    stopping = threading.Event()
    hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    for number in (signal.SIGINT, signal.SIGTERM, *hang_up):
        signal.signal(number, lambda _number, _frame: stopping.set())
    return stopping
