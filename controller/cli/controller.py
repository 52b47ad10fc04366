"""`coachwork controller`: what the controller's pod runs."""

import os
import sys
from typing import Annotated

import typer

from controller.app.pod import serve
from controller.settings import load


def controller(
    namespace: Annotated[str | None, typer.Option(metavar="NAME", help="Namespace of requests and workloads.")] = None,
    volume: Annotated[str | None, typer.Option(metavar="FOLDER", help="Mount point of the shared volume.")] = None,
    kubeconfig: Annotated[
        str | None, typer.Option(metavar="FILE", help="Kubeconfig; by default the pod's own account.")
    ] = None,
    port: Annotated[str | None, typer.Option(metavar="NUMBER", help="Port of /metrics, /healthz and /readyz.")] = None,
) -> None:
    """Run the controller, as its pod does.

    Every setting is also a variable, COACHWORK_NAMESPACE and so on.
    """
    flags = {"namespace": namespace, "volume": volume, "kubeconfig": kubeconfig, "port": port}
    sys.exit(serve(load(os.environ, flags)))
