"""Which API server, and as whom: what kubectl would take, else the pod's own service account."""

import copy
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

from controller.core.errors import Invalid
from controller.core.text import clean, nearest, quoted

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, Configuration

CONNECTIONS = 32  # kept open: a watch per kind, and the workers
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def login(kubeconfig: str, context: str) -> tuple["ApiClient", str]:
    """Return a client and the namespace that its configuration names ("" for none).

    As kubectl: the file given, else KUBECONFIG, else ~/.kube/config, and without any of them the pod's own service
    account, whose token the client reads again each minute. Raises Invalid where none can be used.
    """
    from kubernetes import client, config  # noqa: PLC0415 - costs 320 ms, and `--help` needs none of it

    settings = client.Configuration()
    named = kubeconfig or os.environ.get("KUBECONFIG", "")
    path = named or str(_default())
    in_cluster = not named and not context and not Path(path).exists() and SERVICE_ACCOUNT.exists()
    try:
        if in_cluster:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
            namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
        else:
            config.load_kube_config(path, context or None, settings)  # type: ignore[no-untyped-call]
            every, active = config.list_kube_config_contexts(path)  # type: ignore[no-untyped-call]
            chosen = next((item for item in every if item["name"] == context), active) if context else active
            namespace = str(chosen["context"].get("namespace") or "")
    except Exception as error:  # ConfigException, but also KeyError, TypeError, YAMLError from a malformed file
        raise Invalid("BadKubeconfig", [_complaint(path, in_cluster, context, error)]) from error
    settings.retries = False  # neither retries nor redirects
    settings.connection_pool_maxsize = CONNECTIONS
    settings.keep_alive = True
    return _client(settings), namespace


def nobody(api: "ApiClient") -> "ApiClient":
    """Return a client of the same server that shows no credentials: a certificate would win over a call's token."""
    settings = copy.copy(api.configuration)
    settings.cert_file = settings.key_file = settings.refresh_api_key_hook = None
    settings.api_key, settings.username, settings.password = {}, None, None
    return _client(settings)


def _client(settings: "Configuration") -> "ApiClient":
    from kubernetes import client  # noqa: PLC0415 - as above

    api = client.ApiClient(settings)
    api.user_agent = "coachwork"
    manager = api.rest_client.pool_manager
    manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "https": _Pool}
    return api


class _Connection(HTTPSConnection):
    """Judges certificates as kubectl does.

    From Python 3.13 on, the usual checks refuse an authority that leaves out extensions of RFC 5280, as those of many
    clusters do (https://github.com/kubernetes-client/python/issues/2394).
    """

    def connect(self) -> None:
        tls = create_urllib3_context(cert_reqs=resolve_cert_reqs(self.cert_reqs))
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not (self.ca_certs or self.ca_cert_data):
            tls.load_default_certs()
        self.ssl_context = tls  # each has its own: urllib3 changes it while it connects
        super().connect()


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection


def _default() -> Path:
    return Path(os.environ.get("HOME", "/"), ".kube", "config")


def configured() -> bool:
    """Return whether anything here says which cluster is meant."""
    return bool(os.environ.get("KUBECONFIG")) or _default().exists() or SERVICE_ACCOUNT.exists()


def _complaint(path: str, in_cluster: bool, context: str, error: Exception) -> str:
    """Return the sentence for credentials that can't be used."""
    remedy = "name a working kubeconfig with KUBECONFIG or --kubeconfig"
    if in_cluster:
        return f"{SERVICE_ACCOUNT}: {_cause(error)}; {remedy}"
    if not any(Path(part).is_file() for part in path.split(os.pathsep)):
        return f"{path}: no such kubeconfig; {remedy}"
    if context and (known := _contexts(path)) and context not in known:
        return f"{path}: no context {quoted(context)}: {nearest(context, known)}"
    return f"{path}: {_cause(error)}; {remedy}"


def _cause(error: Exception) -> str:
    return clean(str(error)) or type(error).__name__


def _contexts(path: str) -> list[str]:
    """Return the contexts' names, none where they can't be read."""
    from kubernetes import config  # noqa: PLC0415 - as above

    try:
        every, _ = config.list_kube_config_contexts(path)  # type: ignore[no-untyped-call]
        return [str(context["name"]) for context in every]
    except Exception:  # noqa: BLE001 - a malformed file fails in many ways; the first complaint says so
        return []
