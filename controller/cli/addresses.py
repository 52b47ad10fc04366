"""Where the services of a request answer, as its release says."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from controller.cli.requests import Requests
from controller.core import names
from controller.core.documents import codec, release
from controller.core.errors import NotFound, Transient
from controller.core.model import Object
from controller.core.text import clean


@dataclass(frozen=True, slots=True)
class Address:
    """A service as programs in the cluster reach it, and from elsewhere: by its Ingress ("": none), or a forward."""

    url: str
    ingress: str
    forward: str


def released(requests: Requests, name: str) -> Sequence[Object]:
    """Return the service objects of a request's release, as they were applied. Raises Transient, NotFound."""
    found = requests.person.get(names.release_of(name)) or {}
    answer = release.read(found.get("data") or {}, name)
    return answer.value if isinstance(answer, codec.Good) else ()


def addresses(requests: Requests, name: str) -> dict[str, Address]:
    """Return the addresses of a request's services by stage; none where they can't be read: they are a courtesy."""
    with suppress(Transient, NotFound):
        objects = released(requests, name)
        own = {
            names.labels_of(item)[names.STAGE]: item
            for item in reversed(objects)  # of a stage with two, the first is the one with its whole name
            if item["kind"] == "Service"
        }
        public = {names.labels_of(item)[names.STAGE]: item["spec"] for item in objects if item["kind"] == "Ingress"}
        return {
            clean(stage): Address(
                f"http://{service}.{requests.namespace}:{port}",
                clean(_public(public[stage])) if stage in public else "",
                f"{requests.kubectl()} port-forward service/{service} {port}",
            )
            for stage, item in reversed(own.items())
            for service, port in [(clean(item["metadata"]["name"]), int(item["spec"]["ports"][0]["port"]))]
        }
    return {}


def _public(spec: Object) -> str:
    """Return the address of an Ingress; without a host, the path at whatever address its controller has."""
    rule = spec["rules"][0]
    path = rule["http"]["paths"][0]["path"].removesuffix("(/|$)(.*)")
    scheme = "https" if spec.get("tls") else "http"
    return (
        f"{scheme}://{rule['host']}{path}" if rule.get("host") else f"{path} at the address of the ingress controller"
    )
