"""Templates, and what each of them is given."""

from pathlib import Path
from typing import Any, Final

import jinja2
from starlette.requests import Request

from controller.adapters.web.page.words import FILTERS
from controller.adapters.web.ports import Site
from controller.adapters.web.replies import Reply, Whole
from controller.core.pages.timeline import MEANING
from controller.core.text import format_size

TEMPLATES: Final = Path(__file__).parent / "templates"


class Renderer:
    """Renders templates for one place. Every text is escaped."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.filters |= {"size": format_size, **FILTERS}
        self.environment.globals |= {"meaning": MEANING}

    def __call__(self, request: Request, template: str, status: int = 200, **values: Any) -> Whole:
        """Return a page. Every template has `root`, which leads to the page's root, and `site`."""
        text = self.environment.get_template(template).render(root=root(request), site=self._site, **values)
        return Whole(Reply(status, text.encode(errors="replace"), "text/html; charset=utf-8"))


def root(request: Request) -> str:
    """Return the relative address of the page's root, as a browser resolves it."""
    return "../" * (request.scope["raw_path"].count(b"/") - 1) or "./"
