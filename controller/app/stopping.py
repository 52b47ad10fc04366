"""The signals that ask a process for its end."""

import queue
import signal
import threading


def stop_on_signals(*more: signal.Signals) -> threading.Event:
    """Return what SIGINT and SIGTERM set, and those others that are not ignored, as nohup ignores a hang-up.

    An event has a lock, which a handler must not take: a second signal right after the first, as `timeout` sends it,
    would wait for what it interrupts. A simple queue is made to be written to there.
    """
    stopping, came = threading.Event(), queue.SimpleQueue[int]()

    def follow() -> None:
        came.get()
        stopping.set()

    threading.Thread(target=follow, name="signals", daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM, *(one for one in more if signal.getsignal(one) != signal.SIG_IGN)):
        signal.signal(number, lambda number, _frame: came.put(number))
    return stopping
