"""The controller in its pod: makes the adapters from the settings, and ends on a signal."""

import gc
import socket
import sys
import threading
import uuid
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path

import structlog

from controller.adapters import storage
from controller.adapters.git import Git, GitSettings
from controller.adapters.kube.cluster import Kube, connect
from controller.adapters.kube.kinds import CALLS, RIGHTS, WATCHED
from controller.adapters.kube.limit import Limit
from controller.adapters.kube.transport import Timeouts
from controller.adapters.telemetry import PrometheusMetrics, configure_logging
from controller.adapters.volume import Archive, Volume
from controller.adapters.volume.sweeper import Sweeper
from controller.adapters.web.ports import Site
from controller.adapters.web.server import WebServer
from controller.adapters.web.wake import WakeServer
from controller.app.controller import App, Shared
from controller.app.doctor import Doctor
from controller.app.leading import Candidate
from controller.app.stopping import stop_on_signals
from controller.app.waiting import Waiting
from controller.core import errors
from controller.core.exits import Exit
from controller.core.model import Object
from controller.settings import Settings, policy

LEASE_TIMEOUTS = Timeouts(connect=3.0, read=3.0)  # a renewal that fails leaves time for a second one

_log = structlog.get_logger()


def in_term(candidate: Candidate) -> None:
    """Raise NotYet unless this controller leads, and still in the term in which this thread began its pass."""
    candidate.check()
    storage.ask()


def serve(settings: Settings) -> Exit:
    """Run the controller until SIGTERM or SIGINT; return the exit code."""
    version = metadata.version("coachwork")
    metrics = PrometheusMetrics(version)
    configure_logging(settings.log_level, sys.stdout, metrics.runs.hid, metrics.work.defect)
    stopping = stop_on_signals()
    _log.info("controller starting", version=version, namespace=settings.namespace, volume=str(settings.volume))
    try:
        cluster, source, app = _put_together(settings, metrics)
    except (errors.Invalid, errors.Transient, OSError) as error:
        remedy = "see that the volume is mounted and writable by user 10001; coachwork doctor says more once it runs"
        _log.error("controller can't start", error=str(error), remedy=remedy)
        return Exit.UNREACHABLE
    ours = replace(policy(settings, tools_digest=""), version=version)
    doctor = Doctor(cluster, app.view, source, Path(settings.volume), ours, metrics.api.lacks)
    try:
        ports = _ports(settings, metrics, cluster, app, doctor)
    except OSError as error:
        remedy = "set COACHWORK_PORT and COACHWORK_WAKE_PORT to ports that are free, and that user 10001 may have"
        _log.error("controller can't listen", error=str(error), remedy=remedy)
        return Exit.UNREACHABLE
    for port in ports:
        port.start()
    threading.Thread(target=doctor.preflight, args=(stopping,), name="preflight", daemon=True).start()
    gc.freeze()  # modules and settings stay: collections need not walk through them while thousands of objects come
    if app.start(stopping):
        stopping.wait()
    _log.info("controller stopping")
    app.stop()
    for port in ports:
        port.stop()
    return Exit.DONE


def _put_together(settings: Settings, metrics: PrometheusMetrics) -> tuple[Kube, Git, App]:
    """Return the app, and those of its adapters that others ask, too. Raises Invalid, Transient, OSError."""
    root = Path(settings.volume)
    metrics.api.expect(CALLS, [(verb, resource) for (_, resource), verbs in RIGHTS.items() for verb in verbs])
    to = partial(
        connect, settings.namespace, kubeconfig=settings.kubeconfig, context=settings.context,
        on_call=metrics.api.called,
    )  # fmt: skip
    candidate = Candidate(to(timeouts=LEASE_TIMEOUTS), settings.pod or f"{socket.gethostname()}_{uuid.uuid4()}")
    cluster = to(limit=Limit(metrics.api.turn), fence=partial(in_term, candidate))
    source = Git(root, git_settings(settings), partial(_git_called, metrics), metrics.git.shared, metrics.git.failed)
    for kind in WATCHED:
        metrics.api.show_watch(kind.resource, partial(cluster.watch_age, kind.name))
    volume = Volume(root, on_removed=metrics.volume.swept)
    return cluster, source, App(settings, cluster, volume, source, metrics, shared=Shared(Sweeper(root), candidate))


def _ports(
    settings: Settings, metrics: PrometheusMetrics, cluster: Kube, app: App, doctor: Doctor
) -> list[WebServer | WakeServer]:
    """Return the servers of the ports, which listen and do not answer yet. Raises OSError."""
    archive = Archive(
        Path(settings.volume), lambda name: uid_of(app.view.request(name)), Waiting(app.view, cluster.pulling)
    )
    site = Site(app.live, archive, settings.namespace, "pod", metadata.version("coachwork"), doctor.examine)
    web = WebServer(
        settings.port, site, cluster.judge().may_read, metrics=metrics.exposition, healthy=app.trouble,
        ready=app.unready, on_refusal=metrics.web.refused,
    )  # fmt: skip
    metrics.web.show_readers(web.readers)
    return [web, *([WakeServer(settings.wake_port, app.wake, metrics.web.woken)] if settings.wake else [])]


def _git_called(metrics: PrometheusMetrics, operation: str, outcome: str, seconds: float) -> None:
    """Count a call of git; its time is in the log for who asks where a run's goes (bench/anatomy.py)."""
    metrics.git.called(operation, outcome, seconds)
    _log.debug("git", operation=operation, outcome=outcome)


def uid_of(manifest: Object | None) -> str:
    """Return the uid of an object, "" for None."""
    return str(manifest["metadata"]["uid"]) if manifest else ""


def git_settings(settings: Settings) -> GitSettings:
    """Return Git's part of the settings: remotes that do not answer must leave workers to the other requests.

    No pass waits for another one; it is called when that is over.
    """
    return GitSettings(
        resolve_timeout=settings.git_resolve_timeout,
        fetch_timeout=settings.git_fetch_timeout,
        max_bytes=settings.git_max_bytes,
        max_files=settings.git_max_files,
        concurrency=min(settings.git_concurrency, max(settings.workers // 2, 1)),
        allow_file=settings.allow_file_repositories,
        wait=0,
    )
