"""A browser that only asks: what `coachwork ui` lets in."""

import http.client
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


def to_the_end(response: http.client.HTTPResponse) -> None:
    """Read until the answer ends or breaks off."""
    with suppress(ConnectionError, http.client.HTTPException):
        while response.readline():
            pass


@dataclass
class Browser:
    """A browser that has opened an address, cookies and all."""

    address: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return urlsplit(self.address).port or 0

    @property
    def opening(self) -> str:
        parts = urlsplit(self.address)
        return f"{parts.path}?{parts.query}"

    @contextmanager
    def asking(self, target: str, method: str = "GET", **headers: str) -> Iterator[http.client.HTTPResponse]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, target, headers={**self.headers, **headers})
            with connection.getresponse() as response:
                yield response

    def ask(self, target: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        with self.asking(target, method, **headers) as response:
            return response.status, response.read().decode()

    def open(self) -> str:
        """Open the address; return where it leads."""
        with self.asking(self.opening) as response:
            assert response.status == 303
            self.headers["Cookie"] = response.headers["Set-Cookie"].partition(";")[0]
            assert "HttpOnly" in response.headers["Set-Cookie"]
            return response.headers["Location"]
