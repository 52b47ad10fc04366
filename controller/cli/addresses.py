"""Where the services of a request answer, as its release says."""

from collections.abc import Sequence
from contextlib import suppress

from controller.cli.requests import Requests
from controller.core import addresses as core
from controller.core import names
from controller.core.addresses import Address
from controller.core.documents import codec, release
from controller.core.errors import NotFound, Transient
from controller.core.model import Object


def released(requests: Requests, name: str) -> Sequence[Object]:
    """Return the service objects of a request's release, as they were applied. Raises Transient, NotFound."""
    found = requests.person.get(names.release_of(name)) or {}
    return codec.good(release.read(found.get("data") or {}, name)) or ()


def addresses(requests: Requests, name: str) -> dict[str, Address]:
    """Return the addresses of a request's services by stage; none where they can't be read: they are a courtesy."""
    with suppress(Transient, NotFound):
        return core.addresses(released(requests, name), requests.namespace)
    return {}
