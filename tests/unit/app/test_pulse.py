"""A volume that hangs or fails is said at once, by a thread that may hang with it; one that is slow is not."""

import os
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from controller.app import pulse
from controller.app.pulse import LIMIT, Pulse
from controller.core.errors import Transient
from tests.support.eventually import eventually
from tests.unit.app.test_app import Process


def test_a_controller_whose_volume_hangs_is_not_ready_and_not_ended_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answers, real = threading.Event(), threading.Event(), os.statvfs

    def hang(folder: Path) -> os.statvfs_result:
        asked.set()
        answers.wait()
        return real(folder)

    process = Process(tmp_path)
    monkeypatch.setattr(os, "statvfs", hang)
    monkeypatch.setattr(pulse, "LIMIT", 0.0)
    try:
        with capture_logs():
            process.start()
            assert asked.wait(20)
            eventually(lambda: "the shared volume has not answered for" in process.app.unready())
            assert process.metrics.value("coachwork_ready") == 0
            assert process.app.trouble() == ""
            answers.set()
            eventually(lambda: process.app.unready() == "")
    finally:
        answers.set()
        process.app.stop()


def test_a_volume_that_fails_is_said_until_it_answers_and_one_that_is_slow_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse, "INTERVAL", 0.01)
    now, stale, hangs = [0.0], Transient("VolumeUnavailable", "stale file handle"), threading.Event()
    raised, asked = list[Exception](), threading.Event()

    def ask() -> None:
        asked.set()
        if raised:
            raise raised[0]
        hangs.wait()

    asking = Pulse(ask, lambda: now[0])
    asking.start()
    assert asked.wait(20)
    now[0] = LIMIT
    assert asking.trouble() == ""
    now[0] = LIMIT + 12
    assert asking.trouble() == "the shared volume has not answered for 42 s: does it hang?"
    raised.append(stale)
    hangs.set()
    eventually(lambda: asking.trouble() == "stale file handle")
    raised.clear()
    eventually(lambda: asking.trouble() == "")
    asking.stop()
