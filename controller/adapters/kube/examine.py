"""What the API server says about the caller and its namespace, for `coachwork doctor`. Changes nothing.

No call here needs a right beyond those of the table of kinds: everybody may ask for his own rights.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from types import MappingProxyType

from controller.adapters.kube.kinds import RIGHTS, Method, permitted
from controller.adapters.kube.resource import Resource
from controller.adapters.kube.transport import Call, Pair, Transport
from controller.core import names
from controller.core.errors import Transient
from controller.core.model import Object
from controller.core.text import clean

ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
VERSION = Call("get", "version", "GET", "/version")
AT_ONCE = 8  # questions about rights: each is a few milliseconds of the API server
MOST = 500  # objects of a kind that are looked at


class Examiner:
    """Questions about one namespace, with the credentials of `transport`."""

    def __init__(self, transport: Transport, namespace: str) -> None:
        self._transport, self._namespace = transport, namespace

    def lacking(
        self, needed: Mapping[tuple[str, str], frozenset[str]] = RIGHTS, of: Mapping[str, str] = MappingProxyType({})
    ) -> Mapping[tuple[str, str], frozenset[str]]:
        """Return the verbs of `needed` that are not allowed, by (apiGroup, resource).

        `of`: the only object that matters, by its resource; otherwise all do. Raises Transient, Refused.
        """
        questions = [(place, verb) for place, verbs in needed.items() for verb in sorted(verbs)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(
                lambda asked: allowed(self._transport, self._namespace, asked, of.get(asked[0][1], "")), questions
            ))  # fmt: skip
        refused = [question for question, allowed in zip(questions, answers, strict=True) if not allowed]
        return {place: frozenset(verb for where, verb in refused if where == place) for place, _ in refused}

    def clock(self) -> datetime:
        """Return the API server's time, to the second. Raises Transient."""
        _, headers = self._transport.call_for_headers(VERSION)
        try:
            return parsedate_to_datetime(headers.get("Date") or "")
        except ValueError as error:
            raise Transient("ApiUnavailable", "API server: it does not say its time") from error

    def release(self) -> str:
        """Return the API server's version, like v1.34.1. Raises Transient."""
        return str(self._transport.call(VERSION).get("gitVersion"))

    def offered(self, job: Object) -> list[str]:
        """Return the warnings with which a Job would be admitted; it is not created. Raises Refused, Transient."""
        row = permitted("Job", "create")
        call = Call("create", row.resource, "POST", row.path(self._namespace), (("dryRun", "All"),), job)
        _, headers = self._transport.call_for_headers(call)
        return [warning(line) for line in headers.getlist("Warning")]

    def claim(self, name: str) -> Object | None:
        """Return a PersistentVolumeClaim, None if it does not exist. Raises Refused, Transient."""
        claims = Resource(self._transport, permitted("PersistentVolumeClaim", "get"), self._namespace, names.MANAGER)
        return claims.get(name)

    def all_of(self, kind: str, method: Method = "list") -> list[Object]:
        """Return all objects of a kind in the namespace, MOST at most. Raises Refused, Transient."""
        found = Resource(self._transport, permitted(kind, method), self._namespace, names.MANAGER)
        return list(islice(found.listed(), MOST))


def allowed(
    transport: Transport,
    namespace: str,
    question: tuple[tuple[str, str], str],
    name: str = "",
    headers: tuple[Pair, ...] = (),
) -> bool:
    """Return whether the caller may do this: (apiGroup, resource) and verb, of one object or ("") of all.

    Raises Transient, Refused.
    """
    (group, whole), verb = question
    resource, _, part = whole.partition("/")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": part}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes | ({"name": name} if name else {})},
    }
    call = Call(
        "create",
        "selfsubjectaccessreviews",
        "POST",
        ACCESS,
        body=review,
        kinds=("SelfSubjectAccessReview",),
        headers=headers,
    )
    return bool((transport.call(call).get("status") or {}).get("allowed"))


def warning(header: str) -> str:
    """Return the text of a Warning header, whose form is `299 - "text"` with escapes (RFC 7234, 5.5)."""
    quoted = re.fullmatch(r'[0-9]{3} \S+ "(.*)"', header.strip(), re.DOTALL)
    return clean(re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else header)
