"""The objects of one kind that the controller watches, as lists and watches give them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from controller.adapters.kube.kinds import Kind
from controller.adapters.kube.transport import Call, Lines, Transport
from controller.core.errors import Expired, Transient
from controller.core.model import Object

PAGE = 100  # objects of one list page


@dataclass(frozen=True, slots=True)
class Collection:
    """A `watch.Feed`: the objects of one kind that the controller watches."""

    transport: Transport
    row: Kind
    namespace: str

    @property
    def kind(self) -> str:
        """Give the kind's name."""
        return self.row.name

    def page(self, token: str) -> Object:
        """Give one page of the list."""
        more = (("continue", token),) if token else ()
        return self.transport.call(self._call("list", ("limit", str(PAGE)), *more))

    def lines(self, version: str, seconds: int) -> Lines:
        """Begin to watch."""
        return self.transport.lines(self._call(
            "watch", ("watch", "true"), ("allowWatchBookmarks", "true"),
            ("resourceVersion", version), ("timeoutSeconds", str(seconds)),
        ))  # fmt: skip

    def everything(self) -> Iterator[Object]:
        """List all that is there now, page by page, as the caches would hold it. Raises Refused, NotYet, Transient."""
        trim, token = trimmer(self.row), ""
        while True:
            try:
                page = self.page(token)
            except Expired as expired:
                raise Transient("ApiUnavailable", "API server: a list took too long to read") from expired
            yield from map(trim, page.get("items") or ())
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    def _call(self, verb: str, *query: tuple[str, str]) -> Call:
        """Give a call on what is watched."""
        return Call(verb, self.row.resource, "GET", self.row.path(self.namespace), (self.row.selector, *query))


def trimmer(row: Kind) -> Callable[[Object], Object]:
    """Give what makes an object fit for the cache: named (lists leave kind and apiVersion out), without ballast."""

    def trim(item: Object) -> Object:
        metadata = dict(item["metadata"])
        entries = metadata.pop("managedFields", None)
        if entries and row.name not in ("Pod", "Job", "Event"):  # says how and when we wrote; which fields nobody reads
            metadata["managedFields"] = [{k: v for k, v in entry.items() if k != "fieldsV1"} for entry in entries]
        return {**item, "apiVersion": row.api_version, "kind": row.name, "metadata": metadata}

    return trim
