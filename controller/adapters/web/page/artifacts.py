"""The artifacts of a run: a folder, a file with a preview, and a file's own bytes where the browser draws them.

Those bytes are a stage's: whatever they are, the browser gets them in a sandbox, without scripts and without network.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from controller.adapters import storage
from controller.adapters.web.api import component
from controller.adapters.web.page.render import Renderer
from controller.adapters.web.ports import Site
from controller.adapters.web.replies import Room, Stream, Streamed
from controller.core.archive import Content, FileEntry, Listing, NoAnswer
from controller.core.pages import artifacts as folders
from controller.core.pages.preview import PICTURE, READ, drawn, preview
from controller.core.text import nearest, quoted

ROWS: Final = 1000  # of a folder
READERS: Final = 4  # threads that read what browsers draw
DRAWN: Final = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; sandbox; "
    "frame-ancestors 'self'",
    "Content-Disposition": "inline",
}


def routes(site: Site, render: Renderer) -> Sequence[BaseRoute]:
    """Return the routes."""
    room = Room(READERS)

    def artifacts(request: Request) -> Response:
        name, which = request.path_params["name"], request.path_params["run"]
        listing = site.archive.artifacts(name, which)
        path = "/".join(_below(request))
        file = next((file for file in listing.files if file.path == path), None)
        if file and "drawn" in request.query_params:
            return Streamed(_drawn(_content(site, name, listing, file), file), room)
        follows = _goes_on(site, name, listing.run)
        if file:
            head = b"" if drawn(path) else _head(_content(site, name, listing, file))
            shown = preview(path, file.size, head)
            kind, crumbs = type(shown).__name__, folders.crumbs(path)
            return render(
                request, "artifact.html", name=name, run=listing.run, file=file, shown=shown, kind=kind, path=crumbs,
                follows=follows,
            )  # fmt: skip
        words = request.query_params.get("q", "")
        found = folders.folder(listing.files, path, words)
        if found is None:
            line = f"run {listing.run} of {name} has no artifact {quoted(path)}"
            line += "" if listing.complete else " among those that are listed"
            raise NoAnswer("absent", f"{line}; {nearest(path, [file.path for file in listing.files])}")
        return render(
            request, "artifacts.html", name=name, run=listing.run, path=folders.crumbs(path), listing=listing,
            folder=found, words=words, most=ROWS, follows=follows,
        )  # fmt: skip

    top = "/requests/{name}/runs/{run}/artifacts"
    return [Route(top, artifacts), Route(top + "/{path:path}", artifacts)]


def _below(request: Request) -> Sequence[str]:
    """Return the path below the artifacts, as names; read from what was sent, where %2F is no slash."""
    sent = request.scope["raw_path"].decode("latin-1").rstrip("/").split("/")
    return [component(part) for part in sent[6:]]  # behind /requests/NAME/runs/RUN/artifacts


def _goes_on(site: Site, name: str, run: int) -> bool:
    """Return whether a run may still save something: else nobody has to look at its files again."""
    item = site.live.request(name)
    return item is not None and item.record.active and item.record.run == run


def _content(site: Site, name: str, listing: Listing, file: FileEntry) -> Content:
    return site.archive.artifact(name, str(listing.run), file.path.split("/"), tar=False)


def _head(content: Content) -> bytes:
    with storage.translated("read an artifact"), closing(content):
        head = b""
        for chunk in content.chunks:
            head += chunk
            if len(head) >= READ:
                break
        return head[:READ]


def _drawn(content: Content, file: FileEntry) -> Stream:
    """Return what the browser draws. Raises NoAnswer for what it is not given as such."""
    media = drawn(file.path)
    if not media or file.size > PICTURE:
        content.close()
        raise NoAnswer("wrong", f"{quoted(file.path)} is not drawn by a browser: download it")
    return Stream(content.chunks, content.close, content.size, media, DRAWN)
