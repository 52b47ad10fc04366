"""The objects of one kind in one namespace, and every call on them: the controller's, and those of commands."""

from collections.abc import Iterator
from dataclasses import dataclass

from controller.adapters.kube.kinds import Kind
from controller.adapters.kube.translate import ObjectGone
from controller.adapters.kube.transport import Call, LineStream, Pair, Transport
from controller.core.errors import Conflict, Transient
from controller.core.model import Object

PAGE = 100  # objects of one list page
APPLY = "application/apply-patch+yaml"  # JSON is YAML


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind in one namespace; as a `watch.Feed`, those of its objects that the controller watches.

    Fields that are written belong to `manager`. Every method raises Refused, NotYet and Transient.
    """

    transport: Transport
    row: Kind
    namespace: str
    manager: str

    def get(self, name: str) -> Object | None:
        """Return one object, None if it is not there."""
        try:
            return self._call("get", "GET", name)
        except ObjectGone:
            return None

    def listed(self, *selector: Pair) -> Iterator[Object]:
        """Yield all that is there now, or what of it is selected, page by page; lists leave apiVersion and kind out."""
        token = ""
        while True:
            page = self._page(token, *selector)
            yield from page.get("items") or ()
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    def create(self, manifest: Object) -> Object:
        """Create. Raises AlreadyExists where the name is taken."""
        return self._call("create", "POST", "", ("fieldManager", self.manager), body=manifest)

    def apply(self, manifest: Object) -> Object:
        """Server-side apply, forced. Raises Conflict where metadata.uid is not that object's."""
        query = (("fieldManager", self.manager), ("force", "true"))
        return self._call("patch", "PATCH", manifest["metadata"]["name"], *query, body=manifest, content_type=APPLY)

    def patch(self, name: str, change: Object | list[Object]) -> Object:
        """Patch: a list is a JSON patch, a mapping a merge patch. Raises Conflict, and ObjectGone where it is gone."""
        kind = "json-patch" if isinstance(change, list) else "merge-patch"
        query, content_type = ("fieldManager", self.manager), f"application/{kind}+json"
        return self._call("patch", "PATCH", name, query, body=change, content_type=content_type)

    def replace(self, manifest: Object) -> Object:
        """Update, with metadata.resourceVersion as the precondition. Raises Conflict if that has moved on.

        KeyError (a defect) without one: it would overwrite whatever is there.
        """
        if not manifest["metadata"].get("resourceVersion"):
            raise KeyError("replace without a resourceVersion would overwrite whatever is there")
        return self._call("update", "PUT", manifest["metadata"]["name"], ("fieldManager", self.manager), body=manifest)

    def delete(self, name: str, uid: str) -> None:
        """Delete it and what it owns, in the background. Raises Conflict where no object has this name and uid."""
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        self._call("delete", "DELETE", name, body={"apiVersion": "v1", "kind": "DeleteOptions", **options})

    # --- what is watched ---------------------------------------------------------------------------

    @property
    def kind(self) -> str:
        """Return the kind's name."""
        return self.row.name

    def page(self, token: str) -> Object:
        """Return one page of the list: the first, or the one that a `continue` token names. Raises Expired."""
        return self._page(token, self.row.selector)

    def lines(self, version: str, seconds: int) -> LineStream:
        """Begin to watch after this version. Raises Expired."""
        query = (
            self.row.selector, ("watch", "true"), ("allowWatchBookmarks", "true"),
            ("resourceVersion", version), ("timeoutSeconds", str(seconds)),
        )  # fmt: skip
        return self.transport.lines(Call("watch", self.row.resource, "GET", self.row.path(self.namespace), query))

    def _page(self, token: str, *selector: Pair) -> Object:
        more = (("continue", token),) if token else ()
        return self._call("list", "GET", "", *selector, ("limit", str(PAGE)), *more)

    def _call(
        self,
        verb: str,
        method: str,
        name: str = "",
        *query: Pair,
        body: Object | list[Object] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """Make one call. A read has no precondition: a Conflict that it meets is the server's trouble."""
        path, kind = self.row.path(self.namespace, name), self.row.name
        kinds = (f"{kind}List",) if verb == "list" else (kind, "Status") if verb == "delete" else (kind,)
        try:
            return self.transport.call(
                Call(verb, self.row.resource, method, path, query, body, content_type, kinds=kinds)
            )
        except Conflict as conflict:
            if verb == "list" or (verb == "get" and not isinstance(conflict, ObjectGone)):
                raise Transient("ApiUnavailable", f"API server: {conflict}") from conflict
            raise
