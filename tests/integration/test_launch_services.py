"""A service's launcher: when it is ready, and why it is not."""

import json
import signal
import socket

import pytest

from tests.support.freeport import free_port
from tests.support.launching import Stage, wait_for


def server(port: int | str, host: str = "0.0.0.0", status: int = 200) -> str:  # noqa: S104 - what a service does
    return f"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status}); self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer(("{host}", {port}), Handler).serve_forever()
"""


def test_a_service_is_announced_when_it_answers(stage: Stage) -> None:
    port = free_port()
    process = stage.start(server(port), kind="service", port=port, readiness_path="/healthz")
    wait_for(lambda: b"the service answers on port" in stage.log(), "readiness")
    process.send_signal(signal.SIGTERM)
    ended = stage.end(process)
    assert (ended.code, ended.message["reason"]) == (143, "Terminated")


def test_a_service_that_ends_by_itself_has_failed(stage: Stage) -> None:
    ended = stage.run("print('done')", kind="service", port=free_port())
    assert (ended.code, ended.message["reason"]) == (1, "ServiceEnded")


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.Popen([sys.executable, '-c', SERVER])",
        "subprocess.Popen([sys.executable, '-c', SERVER], start_new_session=True, stdin=subprocess.PIPE)",
        "os.fork() or (os.setsid(), os.fork() and os._exit(0), exec(SERVER))",
    ],
)
@pytest.mark.parametrize("until", ["pass", "socket.create_connection(('127.0.0.1', PORT)).close(); break"])
def test_a_service_whose_server_is_left_as_a_child_has_ended_and_is_not_tried_again(
    stage: Stage, start: str, until: str
) -> None:
    port = free_port()
    script = f"""
import os, socket, subprocess, sys, time
PORT, SERVER = {port}, {server(port)!r}
{start}
for _ in range(100):
    try:
        {until}
    except OSError:
        time.sleep(0.1)
"""
    ended = stage.run(script, kind="service", port=port)
    assert (ended.code, ended.message["reason"]) == (121, "ServiceEnded")
    assert "start the server in the foreground" in ended.message["message"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("script", "address", "path", "cause"),
    [
        ("import time; time.sleep(600)", "", "", "nothing listens on port @OWN@"),
        (
            server("@OTHER@"),
            "127.0.0.1",
            "",
            "nothing listens on port @OWN@, but on @OTHER@: PORT and the script must name the same port",
        ),
        (server("@OWN@", "127.0.0.1"), "127.0.0.2", "", "the script listens on 127.0.0.1:@OWN@ only: bind to 0.0.0.0"),
        (server("@OWN@", status=500), "", "/health", "GET /health on port @OWN@ answers HTTP 500"),
    ],
    ids=["nothing", "another-port", "loopback", "error"],
)
def test_a_service_that_does_not_get_ready_says_why(
    stage: Stage, script: str, address: str, path: str, cause: str
) -> None:
    port, other = free_port(), free_port()

    def numbered(text: str) -> str:
        return text.replace("@OWN@", str(port)).replace("@OTHER@", str(other))

    stage.env = {"COACHWORK_POD_IP": address}
    with socket.create_server(("127.0.0.1", 0)) as neighbour:
        ended = stage.run(numbered(script), kind="service", port=port, limit=2, readiness_path=path)
        assert str(neighbour.getsockname()[1]) not in ended.message["message"]
    assert (ended.code, ended.message["reason"]) == (121, "StartupTimeout")
    late, message = "not ready within 2 s (MAX_STARTUP_TIME_SECONDS", ended.message["message"]
    if "only: " in cause or "must name" in cause:  # more time would not help
        assert message.startswith(f"train/train.py: {numbered(cause)}")
        assert message.endswith(f"; {late})")
    else:
        assert message.startswith(f"train/train.py: {late}: raise it if it only needs longer): {numbered(cause)}; it ")


def test_a_late_service_shows_what_it_said_last_in_the_log_that_is_shown(stage: Stage) -> None:
    port = free_port()
    stage.file("bodywork.yaml", "")  # whose keys are in lower case
    script = """
import signal, sys, time
signal.signal(15, lambda *_: (print("shutting down"), sys.exit(0)))
print("loading weights: 7 of 9")
time.sleep(600)
"""
    late = "not ready within 2 s (max_startup_time_seconds: raise it if it only needs longer): nothing listens on port"
    message = f"train/train.py: {late} {port}; it last said: loading weights: 7 of 9"
    ended = stage.run(script, kind="service", port=port, limit=2)
    assert (ended.code, ended.message["message"]) == (121, message)
    again = stage.run(script, kind="service", port=port, limit=2)  # the kubelet starts the container again
    assert (again.code, again.message["message"]) == (121, message)
    assert [path.name for path in sorted(stage.logs.glob("*.log"))] == ["1.log"]


def test_a_late_service_that_said_nothing_says_so(stage: Stage) -> None:
    ended = stage.run("import time; time.sleep(600)", kind="service", port=free_port(), limit=1)
    assert ended.message["message"].endswith("; it has said nothing")


CRASHED = "train/train.py:1: exited with code 1: ValueError: no model"


def test_a_crash_loop_does_not_extend_the_start_up_time(stage: Stage) -> None:
    port = free_port()
    first = stage.run("raise ValueError('no model')", kind="service", port=port, limit=60)
    assert first.code == 1
    path = stage.scratch / "first-start"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"at": 0}))
    again = stage.run(kind="service", port=port, limit=60)
    assert (again.code, again.message["reason"]) == (121, "StartupTimeout")
    assert again.message["message"] == f"{CRASHED}; not ready within 60 s (MAX_STARTUP_TIME_SECONDS)"
    assert again.message["first_start"] == first.message["first_start"]


def test_the_cause_of_the_crash_is_named_when_the_limit_cuts_a_restart_short(stage: Stage) -> None:
    port = free_port()
    assert stage.run("raise ValueError('no model')", kind="service", port=port, limit=60).code == 1
    again = stage.run("import time; time.sleep(600)", kind="service", port=port, limit=1)
    assert (again.code, again.message["reason"]) == (121, "StartupTimeout")
    assert again.message["message"] == f"{CRASHED}; not ready within 1 s (MAX_STARTUP_TIME_SECONDS)"


def test_a_service_that_was_ready_gets_its_start_up_time_again(stage: Stage) -> None:
    port = free_port()
    assert stage.run("raise ValueError('no model')", kind="service", port=port).code == 1
    path = stage.scratch / "first-start"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"at": 0, "ready": True}))
    process = stage.start(server(port), kind="service", port=port)
    wait_for(lambda: b"the service answers on port" in stage.log(2), "readiness")
    process.send_signal(signal.SIGTERM)
    assert stage.end(process).code == 143
