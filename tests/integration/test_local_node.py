"""Containers as process groups of this machine: what they find, how they end, and that nothing of them stays."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from controller.adapters.local import LocalCluster, Machine
from controller.adapters.local.ports import Ports
from controller.core.errors import Refused
from controller.core.manifests.process import arguments
from controller.core.model import Object
from tests.support.eventually import eventually
from tests.support.freeport import free_port
from tests.support.workloads import deployment, job

STUBBORN = "trap '' TERM; echo $$$$ > $PIDS/{name}; while :; do sleep 0.05; done"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[LocalCluster]:
    secrets = {"aws": {"KEY": "$$(HOME) /data"}}
    machine = Machine(
        volume=tmp_path / "volume", scratch=tmp_path / "scratch", secrets=secrets, back_off=0.05, stop_grace=0.3
    )
    cluster = LocalCluster("node", machine)
    cluster.start(lambda _kind, _old, _new: None)
    yield cluster
    cluster.stop()
    assert not list((tmp_path / "scratch").glob("*"))


def mounted(manifest: Object, *mounts: Object) -> Object:
    """Return the manifest with a claim `shared`, an emptyDir `own`, and these mounts."""
    spec = manifest["spec"]["template"]["spec"]
    claim = {"name": "shared", "persistentVolumeClaim": {"claimName": "coachwork"}}
    spec["volumes"] = [claim, {"name": "own", "emptyDir": {}}]
    spec["containers"][0]["volumeMounts"] = list(mounts)
    return manifest


def ended(cluster: LocalCluster) -> Object:
    """Return how the container of the Job's only pod ended."""

    def state() -> Any:
        for pod in _pods(cluster):
            for status in pod.get("status", {}).get("containerStatuses") or ():
                return status["state"].get("terminated")
        return None

    return dict(eventually(state))


def output(cluster: LocalCluster) -> str:
    """Return what the Job's only pod wrote, once it ended."""
    ended(cluster)
    (pod,) = _pods(cluster)
    log = cluster.log(pod["metadata"]["name"])
    assert log
    return log.read_text()


def _pods(cluster: LocalCluster) -> list[Object]:
    return [pod for pod in cluster.objects("Pod") if pod["metadata"]["labels"].get("job-name") == "j"]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# --- what a container finds ----------------------------------------------------------------------------


def test_mount_paths_in_arguments_and_values_become_folders(node: LocalCluster, tmp_path: Path) -> None:
    env = [{"name": "DATA", "value": "/data/x:/data/deeper/y:/database:/my/data"}]
    order = json.dumps({"paths": {"data": "/data"}, "args": ["--in=/data/z"], "price": "5 $$ and 'quotes'"})
    command = ["sh", "-c", 'echo "$DATA"; echo "$1"', "sh", order]
    mounts = ({"name": "shared", "subPath": "a/b", "mountPath": "/data"}, {"name": "own", "mountPath": "/data/deeper"})
    node.create(mounted(job("j", "", container={"command": command, "env": env}), *mounts))
    first, second = output(node).splitlines()
    shared = str(tmp_path / "volume/a/b")
    x, y, other, foreign = first.split(":")
    assert (x, other, foreign) == (f"{shared}/x", "/database", "/my/data")
    assert y.startswith(str(tmp_path / "scratch"))
    assert json.loads(second) == {
        "paths": {"data": shared}, "args": [f"--in={shared}/z"], "price": "5 $ and 'quotes'"
    }  # fmt: skip


def test_an_order_of_any_length_reaches_its_process(node: LocalCluster) -> None:
    order = json.dumps({"paths": {"data": "/data"}, "args": ["x" * 100_000] * 3})
    tell = "import json, sys; order = json.loads(''.join(sys.argv[1:])); print(order['paths'], len(order['args'][2]))"
    node.create(mounted(job("j", "", container={"command": ["python3", "-c", tell, *arguments(order)]})))
    assert output(node) == "{'data': '/data'} 100000\n"


def test_a_container_finds_its_own_variables_and_none_of_the_shell(
    node: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL_SECRET", "leak")
    env = [
        {"name": "MONEY", "value": "$$(HOME) $$$$"},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "aws", "key": "KEY"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    node.create(mounted(job("j", "env", container={"env": env}), {"name": "own", "mountPath": "/data"}))
    found = dict(line.partition("=")[::2] for line in output(node).splitlines())
    assert (found["MONEY"], found["KEY"], found["IP"]) == ("$(HOME) $$", "$$(HOME) /data", "127.0.0.1")
    assert "SHELL_SECRET" not in found
    assert found["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(
    ("secret", "key", "sentence"),
    [("gcp", "KEY", 'secret "gcp" not found'), ("aws", "OTHER", "couldn't find key OTHER in Secret node/aws")],
)
def test_the_waiting_container_says_what_a_secret_lacks(
    node: LocalCluster, secret: str, key: str, sentence: str
) -> None:
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}]
    node.create(job("j", "true", container={"env": env}))
    (pod,) = eventually(lambda: [pod for pod in node.objects("Pod") if "containerStatuses" in pod["status"]])
    expected = {"reason": "CreateContainerConfigError", "message": sentence}
    assert pod["status"]["containerStatuses"][0]["state"]["waiting"] == expected
    assert pod["status"]["phase"] == "Pending"


def test_a_taken_port_is_moved_and_everyone_learns_of_it(node: LocalCluster) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        serve = (
            "import http.server, json, os, sys; assert json.loads(sys.argv[1])['port'] == int(os.environ['PORT']);"
            "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler)"
            ".serve_forever()"
        )
        container = {
            "command": ["python3", "-c", serve, json.dumps({"port": port})],
            "env": [{"name": "PORT", "value": str(port)}],
            "ports": [{"name": "http", "containerPort": port}],
            "readinessProbe": {"httpGet": {"port": "http", "path": "/"}, "periodSeconds": 1},
        }
        node.create(deployment("serve", container=container))
        ports = [{"name": "http", "port": port, "targetPort": "http"}]
        spec = {"selector": {"app": "it"}, "ports": ports}
        node.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "serve"}, "spec": spec})
        address = eventually(lambda: node.addresses().get("serve"))
        assert address != f"http://127.0.0.1:{port}"
        env = [{"name": "COACHWORK_URL_SERVE", "value": f"http://serve:{port}"}]
        node.create(job("j", "echo $COACHWORK_URL_SERVE", container={"env": env}))
        assert output(node).strip() == address


def test_of_two_replicas_the_one_on_the_port_that_was_asked_for_is_named(node: LocalCluster, tmp_path: Path) -> None:
    port, late = free_port(), tmp_path / "late"
    serve = (
        "import http.server, os, sys, time\n"
        f"while os.environ['PORT'] == '{port}' and not os.path.exists({str(late)!r}): time.sleep(0.01)\n"
        "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler)"
        ".serve_forever()"
    )
    container = {
        "command": ["python3", "-c", serve],
        "env": [{"name": "PORT", "value": str(port)}],
        "ports": [{"name": "http", "containerPort": port}],
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
    }
    node.create(deployment("serve", container=container, replicas=2))
    spec = {"selector": {"app": "it"}, "ports": [{"name": "http", "port": port, "targetPort": "http"}]}
    node.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "serve"}, "spec": spec})
    assert eventually(lambda: node.addresses().get("serve")) != f"http://127.0.0.1:{port}"
    late.touch()
    eventually(lambda: node.addresses().get("serve") == f"http://127.0.0.1:{port}")


def test_two_clusters_of_one_machine_never_give_the_same_port() -> None:
    ours, theirs = Ports(), Ports()
    port = ours.promise("web", 1)  # nobody may listen there, or nobody else may once we have it
    assert theirs.promise("web", port) != port
    ours.close()
    assert theirs.promise("other", port) == port
    theirs.close()


# --- how it ends ---------------------------------------------------------------------------------------


def test_a_container_that_a_signal_killed_has_128_and_its_number(node: LocalCluster) -> None:
    node.create(job("j", "kill -9 $$$$"))
    assert ended(node)["exitCode"] == 137


def test_a_termination_message_is_cut_at_4096_bytes(node: LocalCluster) -> None:
    node.create(job("j", "head -c 9999 /dev/zero | tr '\\0' x > $COACHWORK_TERMINATION_LOG"))
    assert ended(node)["message"] == "x" * 4096


def stubborn(tmp_path: Path, leaving: str = "setsid") -> Object:
    """Return a Job of two sessions that don't listen to SIGTERM; `leaving` is how the second begins."""
    child = STUBBORN.format(name="child").replace("'", '"')
    script = f"{leaving} sh -c '{child}' & {STUBBORN.format(name='main')}"
    return job("j", script, container={"env": [{"name": "PIDS", "value": str(tmp_path)}]})


def pids(tmp_path: Path) -> list[int]:
    """Return the processes of `stubborn`, once both run."""
    files = [tmp_path / "main", tmp_path / "child"]
    eventually(lambda: all(file.exists() and file.read_text().strip() for file in files))
    return [int(file.read_text()) for file in files]


@pytest.mark.parametrize("left", ["mkfifo $LEFT", "mkdir -p $LEFT/full", "ln -s /dev/zero $LEFT"])
@pytest.mark.parametrize("name", ["termination-log", "log"])
def test_what_a_container_leaves_in_the_place_of_its_files_holds_nobody_up(
    node: LocalCluster, left: str, name: str
) -> None:
    script = f"rm -f {name}; {left.replace('$LEFT', name)}; exit 3"
    node.create(deployment("d", container={"command": ["sh", "-c", script]}))

    def containers() -> list[Object]:
        return [item for pod in node.objects("Pod") for item in pod["status"].get("containerStatuses") or ()]

    eventually(lambda: any(item["restartCount"] > 1 for item in containers()))
    node.create(job("j", "exit 4"))
    assert ended(node)["exitCode"] == 4


def test_stopping_leaves_no_process_not_even_one_in_a_session_of_its_own(node: LocalCluster, tmp_path: Path) -> None:
    node.create(stubborn(tmp_path))
    running = pids(tmp_path)
    assert all(alive(pid) for pid in running)
    node.stop()
    assert not any(alive(pid) for pid in running)


@pytest.mark.parametrize("leaving", ["setsid", 'env -i PATH="$PATH" PIDS="$PIDS" setsid'], ids=["marked", "unmarked"])
def test_deleting_kills_what_does_not_end_within_its_grace(node: LocalCluster, tmp_path: Path, leaving: str) -> None:
    created = node.create(stubborn(tmp_path, leaving))
    running = pids(tmp_path)
    node.delete("Job", "j", created["metadata"]["uid"])
    eventually(lambda: not node.objects("Pod"))
    assert not any(alive(pid) for pid in running)


def test_what_a_container_leaves_running_ends_with_it(node: LocalCluster, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    env = [{"name": "PID", "value": str(pid)}]
    script = 'setsid sh -c "echo \\$$\\$$ > $PID; exec sleep 600" & while [ ! -s $PID ]; do sleep 0.01; done'
    node.create(job("j", script, container={"env": env}))
    assert ended(node)["exitCode"] == 0
    assert not alive(int(pid.read_text()))


def test_private_folders_go_with_their_pod(node: LocalCluster, tmp_path: Path) -> None:
    env = [{"name": "OWN", "value": "/own"}]
    script = "echo x > $OWN/file; mkdir $OWN/locked; touch $OWN/locked/file; chmod 0 $OWN/locked"
    manifest = mounted(job("j", script, container={"env": env}), {"name": "own", "mountPath": "/own"})
    created = node.create(manifest)
    ended(node)
    assert list((tmp_path / "scratch").glob("*/own/file"))
    node.delete("Job", "j", created["metadata"]["uid"])
    eventually(lambda: not list((tmp_path / "scratch").glob("*")))


# --- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        (job("j", "true", manualSelector=True), "spec.manualSelector: the local cluster does not model this field"),
        (job("j", "true", container={"args": ["x"]}), r"containers\[0\].args: the local cluster does not model"),
        (job("j", "true", container={"command": []}), "their commands are not known"),
        (job("j", "true", container={"env": [{"name": "A", "value": "$(HOME)"}]}), r"does not expand \$\(NAME\)"),
        (deployment("d", strategy={"type": "Recreate"}), "models 'RollingUpdate' only, not 'Recreate'"),
        (deployment("D", replicas=0), "metadata.name: expected a DNS name, got 'D'"),
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, "the local cluster has no kind 'Secret'"),
        (
            mounted(job("j", "true"), {"name": "shared", "subPath": "../x", "mountPath": "/x"}),
            r"volumeMounts\[0\].subPath: expected a path below the volume",
        ),
    ],
)
def test_what_is_not_modelled_is_refused_with_its_place(node: LocalCluster, manifest: Object, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence) as caught:
        node.create(manifest)
    assert not caught.value.forbidden
