"""Where the services of a request answer, as its release says."""

from collections.abc import Sequence
from dataclasses import dataclass

from controller.core import names
from controller.core.model import Object
from controller.core.text import clean


@dataclass(frozen=True, slots=True)
class Address:
    """A service as programs in the cluster reach it (`url`), and from elsewhere by its Ingress, "" without one."""

    service: str
    port: int
    url: str
    ingress: str


def addresses(objects: Sequence[Object], namespace: str) -> dict[str, Address]:
    """Return the addresses of the services among a release's objects, by stage."""
    own = {
        names.labels_of(item)[names.STAGE]: item
        for item in reversed(objects)  # of a stage with two, the first is the one with its whole name
        if item["kind"] == "Service"
    }
    public = {names.labels_of(item)[names.STAGE]: item["spec"] for item in objects if item["kind"] == "Ingress"}
    return {
        clean(stage): Address(
            service,
            port,
            f"http://{service}.{namespace}:{port}",
            clean(_public(public[stage])) if stage in public else "",
        )
        for stage, item in reversed(own.items())
        for service, port in [(clean(item["metadata"]["name"]), int(item["spec"]["ports"][0]["port"]))]
    }


def _public(spec: Object) -> str:
    """Return the address of an Ingress; without a host, the path at whatever address its controller has."""
    rule = spec["rules"][0]
    path = rule["http"]["paths"][0]["path"].removesuffix("(/|$)(.*)") + "/"  # without it a page's own links lead astray
    scheme = "https" if spec.get("tls") else "http"
    return (
        f"{scheme}://{rule['host']}{path}" if rule.get("host") else f"{path} at the address of the ingress controller"
    )
