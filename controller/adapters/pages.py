"""Where commands read requests and their runs: the port that a cluster and this machine both offer.

A request is a ConfigMap, its record another; what its runs left is on the pages below /api/.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol, Self

from controller.core.errors import Transient
from controller.core.model import Object

RESTART_SECONDS: Final = 20.0  # that a controller's pod may take to be replaced
ANSWER_LIMIT: Final = 64 << 20  # bytes of JSON


class Page(Protocol):
    """A page's bytes as they come: to be iterated over, or read like a file. A `with` block gives it up."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Return what came before the bytes."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_error: object) -> None: ...
    def __iter__(self) -> Iterator[bytes]: ...

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""


class Reader(ABC):
    """The requests of one place, which a sentence ends with (`place`). Every method raises Transient."""

    what: str = "request"
    namespace: str
    place: str
    remedy: str  # where the place has no requests

    @abstractmethod
    def close(self) -> None:
        """Give up what is held."""

    @abstractmethod
    def get(self, name: str) -> Object | None:
        """Return a ConfigMap, None if it is not there. Raises NotFound where the place does not exist."""

    @abstractmethod
    def labelled(self, label: str, values: Sequence[str]) -> list[Object]:
        """Return the ConfigMaps with one of these values of a label. Raises NotFound as `get`."""

    @abstractmethod
    def ready(self, patience: float = RESTART_SECONDS) -> None:
        """Check that what carries requests out is there, or comes in time. Raises NotFound as `get`."""

    @abstractmethod
    def page(
        self,
        *parts: str,
        query: Mapping[str, str] = MappingProxyType({}),
        accept: str = "*/*",
        patience: float = RESTART_SECONDS,
    ) -> Page:
        """Return a page; `parts` are the components of its path. One that does not answer gets `patience` seconds.

        Raises NotFound, Invalid.
        """

    def answer(self, *parts: str, run: str = "", patience: float = RESTART_SECONDS) -> Any:
        """Return the JSON of a page. Raises as `page`, and Transient for what is not JSON, or longer than the limit."""
        return self._answer(*parts, run=run, patience=patience)[0]

    def _answer(self, *parts: str, run: str, patience: float = RESTART_SECONDS) -> tuple[Any, Mapping[str, str]]:
        with self.page(*parts, query={"run": run}, patience=patience) as body:
            text, headers = b"", body.headers
            while chunk := body.read(64 * 1024):
                text += chunk
                if len(text) > ANSWER_LIMIT:
                    raise Transient("ControllerBusy", "the controller's answer is too large")
        try:
            return json.loads(text), headers
        except (ValueError, RecursionError) as error:
            raise Transient("ControllerBusy", "the controller's answer is not JSON") from error

    def entries(self, *parts: str, run: str = "") -> list[dict[str, Any]]:
        """Return the objects of a page that is a list. Raises as `answer`."""
        return _objects(self.answer(*parts, run=run))

    def artifacts(self, name: str, run: str) -> tuple[list[dict[str, Any]], bool]:
        """Return the files that a run saved, and whether these are all. Raises as `answer`."""
        answer, headers = self._answer("api", "artifacts", name, run=run)
        return _objects(answer), headers.get("Coachwork-Complete") != "false"


def _objects(answer: Any) -> list[dict[str, Any]]:
    return [item for item in answer if isinstance(item, dict)] if isinstance(answer, list) else []
