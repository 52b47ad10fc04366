"""What a script prints: its order, its bytes, its cap, its secrets."""

import hashlib
import json
import os
import signal
from pathlib import Path

from tests.support.freeport import free_port
from tests.support.launching import Stage, wait_for


def test_output_keeps_its_order_and_its_bytes(stage: Stage) -> None:
    script = """
import os
for n in range(200):
    os.write(1 + n % 2, b"%d\\n" % n)
os.write(1, bytes(range(256)))
"""
    ended = stage.run(script)
    expected = b"".join(b"%d\n" % n for n in range(200)) + bytes(range(256))
    assert expected in ended.output
    assert expected in stage.log()


def test_output_is_live(stage: Stage) -> None:
    process = stage.start("import time; print('alive'); time.sleep(600)")
    wait_for(lambda: b"alive" in stage.log(), "the first line in the log")
    process.send_signal(signal.SIGTERM)
    assert stage.end(process).code == 143


def test_a_flood_is_capped_in_the_log_and_not_in_time(stage: Stage) -> None:
    ended = stage.run("import os\nfor _ in range(800): os.write(1, b'x' * 65536)\nprint('last')", log_cap=10_000)
    assert ended.code == 0
    assert len(ended.output) > 800 * 65536
    assert 10_000 <= len(stage.log()) < 10_200
    assert b"capped at 10000 bytes" in stage.log()
    assert stage.log().endswith(b", not complete\n")
    assert ended.results[1]["complete"] is False
    assert ended.results[1]["notes"] == ["the log was capped"]


def test_a_service_log_turns_and_keeps_the_newest(stage: Stage) -> None:
    script = "import sys\nfor n in range(500): print('line', n)\nsys.exit(5)"
    assert stage.run(script, kind="service", port=free_port(), log_cap=2000).code == 5
    newest, _, last = stage.log().rstrip().rpartition(b"\n")
    assert newest.endswith(b"exited with code 5: line 499")
    assert hashlib.sha256(newest + b"\n").hexdigest().encode() in last
    assert len((stage.logs / "1.log.1").read_bytes()) <= 2100
    assert len(list(stage.logs.glob("*.log"))) == 1


def test_a_full_log_is_noted_and_the_script_goes_on(stage: Stage) -> None:
    stage.limits = ("-f 200",)
    ended = stage.run("for _ in range(300): print('x' * 10000)\nprint('do' + 'ne')", log_cap=10**9)
    assert ended.code == 0
    assert b"done" in ended.output
    assert "missing in the log: File too large" in ended.results[1]["notes"][0]
    assert ended.results[1]["complete"] is False


def test_a_closed_standard_output_stops_no_script(stage: Stage) -> None:
    process = stage.start("for _ in range(100): print('x' * 10000)\nprint('done')")
    assert process.stdout
    process.stdout.close()
    assert process.wait(60) == 0
    assert b"done" in stage.log()


def test_all_that_was_said_before_a_sigkill_is_kept(stage: Stage) -> None:
    script = """
import os
for n in range(3000): os.write(1 + n % 2, b"%06d " % n + b"x" * 1000 + b"\\n")
os.write(1, b"the last")
os.kill(os.getpid(), 9)
"""
    ended = stage.run(script)
    assert ended.code == 137
    expected = b"".join(b"%06d " % n + b"x" * 1000 + b"\n" for n in range(3000)) + b"the last\n"
    assert expected in stage.log()
    assert ended.results[1]["complete"] is True


def test_what_was_read_before_the_launcher_is_killed_is_kept(stage: Stage) -> None:
    process = stage.start("import os, time; os.write(1, b'first'); time.sleep(600)")
    wait_for(lambda: b"first" in stage.log(), "the first words in the log")
    pids = [pid for pid in Path("/proc").glob("[0-9]*") if parent_of(pid) == process.pid]
    process.kill()
    process.wait(60)
    for pid in pids:
        os.kill(int(pid.name), signal.SIGKILL)
    assert process.stdout
    process.stdout.close()
    assert stage.log().endswith(b"first")
    assert stage.results() == {}


def parent_of(pid: Path) -> int:
    try:
        return int(pid.joinpath("stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def test_the_values_of_secrets_are_blanked_in_all_output(stage: Stage) -> None:
    stage.env = {"TOKEN": "s3cr3t-value/1", "PIN": "123"}
    script = """
import base64, os, time, urllib.parse
token = os.environ["TOKEN"]
print("raw", token, "pin", os.environ["PIN"])
print(base64.b64encode(token.encode()).decode(), urllib.parse.quote(token, safe=""))
for letter in token: os.write(1, letter.encode())
os.write(1, b" and\\n")
raise ValueError(token)
"""
    ended = stage.run(script, secrets=["TOKEN", "PIN"])
    for line in (ended.output, stage.log(), json.dumps([ended.message, ended.results]).encode()):
        assert b"s3cr3t" not in line
        assert b"czNjcjN0" not in line
    assert "raw *** pin 123\n*** ***\n*** and\n" in ended.text
    assert ended.message["message"].endswith("ValueError: ***")
    assert ended.results[1]["redacted"] == 5


def test_what_looks_like_the_beginning_of_a_secret_is_shown_when_the_output_pauses(stage: Stage) -> None:
    stage.env = {"TOKEN": "s3cr3t-value"}
    process = stage.start("import os, time; os.write(1, b'here: s3cr3t'); time.sleep(600)", secrets=["TOKEN"])
    wait_for(lambda: stage.log().endswith(b"here: s3cr3t"), "what was held back")
    process.send_signal(signal.SIGTERM)
    assert stage.end(process).code == 143
