"""Letters to those whom requests name, over HTTP: one POST each, within bounded time, in threads of its own.

The address is an author's, so it is not followed to where it should not lead: no redirect, no proxy, no loopback and no
link-local address, no cloud's metadata service. Of an answer only its status is looked at, and no problem shows the
address: it is a secret.
"""

import contextlib
import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from controller.core import errors
from controller.core.model import Object
from controller.core.notices import Letter, Receiver, body, headers, receiver

SECONDS = 10.0  # of one POST, from the look-up of its host to the answer's status
THREADS = 4
WAITING = 1000  # letters that wait for a thread
KEPT = 10_000  # outcomes that nobody has asked for since
GOOD = range(200, 300)
ADDRESSES = 2  # of a host that are tried
METADATA = frozenset(  # where clouds tell a node who it is, at addresses that are not link-local: AWS, Azure, Alibaba
    map(ipaddress.ip_address, ("fd00:ec2::254", "168.63.129.16", "100.100.100.200"))
)


class Messenger:
    """Implements the reconciler's port."""

    def __init__(
        self,
        secret: Callable[[str], Object | None],
        wake: Callable[[str], object],
        term: Callable[[], Callable[[], None]],
        on_sent: Callable[[bool], None],
    ) -> None:
        """Send letters whose Secrets `secret` reads; `wake` is called with the request once a letter is over.

        `term` returns what raises NotYet once this controller no longer leads as it does now; `on_sent` counts.
        """
        self._secret, self._wake, self._term, self._on_sent = secret, wake, term, on_sent
        self._waiting: queue.Queue[tuple[Letter, Callable[[], None]]] = queue.Queue(WAITING)
        self._guard = threading.Lock()
        self._outcomes: dict[str, dict[str, str | None]] = {}  # by uid, then by key
        self._threads = 0

    def send(self, letter: Letter) -> None:
        """Begin to send a letter, unless that has begun."""
        with self._guard:
            own = self._outcomes.setdefault(letter.uid, {})
            if letter.key in own:
                return
            own[letter.key] = None
            begin = self._threads < THREADS
            self._threads += begin
            while len(self._outcomes) > KEPT:
                self._outcomes.pop(next(iter(self._outcomes)))
        try:
            self._waiting.put_nowait((letter, self._term()))
        except queue.Full:
            self._over(letter, "too many other notifications wait")
        if begin:
            threading.Thread(target=self._work, name="messenger", daemon=True).start()

    def letters(self, uid: str) -> Mapping[str, str | None]:
        """Return what came of the letters of a request, by key."""
        with self._guard:
            return dict(self._outcomes.get(uid, {}))

    def _work(self) -> None:
        while True:
            letter, check = self._waiting.get()
            try:
                problem = self._sent(letter, check)
            except errors.NotYet:  # another leads, and sends it
                with self._guard:
                    self._outcomes.get(letter.uid, {}).pop(letter.key, None)
                continue
            except Exception as defect:  # noqa: BLE001 (of any kind: the thread lives, and people hear of it)
                problem = f"defect: {type(defect).__name__}"
            self._over(letter, problem)

    def _over(self, letter: Letter, problem: str) -> None:
        with self._guard:  # outcomes of earlier tries are recorded by now
            own = self._outcomes.get(letter.uid, {}).items()
            self._outcomes[letter.uid] = {key: old for key, old in own if old is None} | {letter.key: problem}
        self._on_sent(not problem)
        self._wake(letter.request)

    def _sent(self, letter: Letter, check: Callable[[], None]) -> str:
        """Send a letter; return why it did not arrive, "" if it did. Raises NotYet where another leads by now."""
        try:
            to = receiver(self._secret(letter.secret), letter.secret)
            content = body(letter, to.url.hostname or "")
            check()
            return _posted(to, content, headers(letter, to, content))
        except errors.Invalid as invalid:
            return "; ".join(invalid.problems)
        except (errors.Transient, errors.Refused) as error:
            return str(error)


def _posted(to: Receiver, content: bytes, headers: Mapping[str, str]) -> str:
    """Post it; return why it did not arrive, "" if it did."""
    late = threading.Event()
    try:
        status = _answered(to, content, headers, late)
    except ssl.SSLCertVerificationError:
        return "the receiver's certificate can't be verified"
    except (OSError, http.client.HTTPException, ValueError) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            return f"no answer within {SECONDS:g} s"
        return str(error) if isinstance(error, _Forbidden) else f"can't be sent ({type(error).__name__})"
    return "" if status in GOOD else f"the receiver answered {status}"


def _answered(to: Receiver, content: bytes, headers: Mapping[str, str], late: threading.Event) -> int:
    """Return the status of the answer; `late` is set where the connection was cut. Raises OSError and others."""
    host, secure = to.url.hostname or "", to.url.scheme == "https"
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(host, to.url.port)
    until = time.monotonic() + SECONDS
    plain = _connected(host, connection.port, until)
    context = ssl.create_default_context() if secure else None
    wrapped = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False) if context else plain

    def cut() -> None:  # what drips is in time for each single wait
        late.set()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(wrapped, socket.SHUT_RDWR)

    limit = threading.Timer(max(until - time.monotonic(), 0.0), cut)
    with contextlib.closing(wrapped), contextlib.closing(connection):
        limit.start()
        try:
            if isinstance(wrapped, ssl.SSLSocket):
                wrapped.do_handshake()
            connection.sock = wrapped
            path = (to.url.path or "/") + (f"?{to.url.query}" if to.url.query else "")
            connection.request("POST", path, content, dict(headers))
            return connection.getresponse().status
        finally:
            limit.cancel()


def _addresses(host: str, port: int, seconds: float) -> list[str]:
    """Return a host's addresses. Raises OSError, ValueError; TimeoutError sooner than a resolver gives up."""
    answer = Future[list[str]]()

    def resolve() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.set_result([str(item[4][0]) for item in found])
        except (OSError, ValueError) as error:
            answer.set_exception(error)

    threading.Thread(target=resolve, name="messenger-resolve", daemon=True).start()
    return answer.result(seconds)


class _Forbidden(OSError):
    """An address that nobody is to be sent to."""


def _connected(host: str, port: int, until: float) -> socket.socket:
    """Return a connection to one of a host's addresses; where one is forbidden, none is tried. Raises OSError."""
    addresses = _addresses(host, port, until - time.monotonic())
    for address in addresses:
        ip = ipaddress.ip_address(address.partition("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        if ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast or ip in METADATA:
            raise _Forbidden("the receiver's address is a loopback or link-local one, or a cloud's metadata service")
    refused: OSError = OSError("no address")
    for address in addresses[:ADDRESSES]:
        try:
            made = socket.create_connection((address, port), max(until - time.monotonic(), 0.1) / ADDRESSES)
        except OSError as error:
            refused = error
        else:
            made.settimeout(SECONDS)
            return made
    raise refused
