"""What the API server tells about the caller and its namespace, for `coachwork doctor`. Changes nothing.

Every call here needs no right beyond those of the table of kinds: who may do what is told to everybody about himself.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from controller.adapters.kube import translate
from controller.adapters.kube.kinds import RIGHTS, permitted
from controller.adapters.kube.transport import Call, Transport
from controller.core.errors import Transient
from controller.core.model import Object
from controller.core.text import clean

ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
AT_ONCE = 8  # questions about rights: each is a few milliseconds of the API server
PAGE = 500


class Examiner:
    """Questions about one namespace, with the credentials of `transport`."""

    def __init__(self, transport: Transport, namespace: str) -> None:
        self._transport, self._namespace = transport, namespace

    def lacking(
        self, wanted: Mapping[tuple[str, str], frozenset[str]] = RIGHTS, of: Mapping[str, str] = MappingProxyType({})
    ) -> Mapping[tuple[str, str], frozenset[str]]:
        """Give the verbs of `wanted` that are not allowed, by (apiGroup, resource).

        `of`: the one object that it is about, by its resource; otherwise it is about all. Raises Transient, Refused.
        """
        questions = [(place, verb) for place, verbs in wanted.items() for verb in sorted(verbs)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda question: self._allowed(question, of), questions))
        found: dict[tuple[str, str], set[str]] = {place: set() for place in wanted}
        for (place, verb), allowed in zip(questions, answers, strict=True):
            found[place] |= set() if allowed else {verb}
        return MappingProxyType({place: frozenset(verbs) for place, verbs in found.items() if verbs})

    def _allowed(self, question: tuple[tuple[str, str], str], of: Mapping[str, str]) -> bool:
        (group, resource), verb = question
        name, _, part = resource.partition("/")
        attributes = {"namespace": self._namespace, "verb": verb, "group": group, "resource": name, "subresource": part}
        attributes |= {"name": of[resource]} if resource in of else {}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = self._transport.call(Call("create", "selfsubjectaccessreviews", "POST", ACCESS, body=review))
        return bool((answer.get("status") or {}).get("allowed"))

    def clock(self) -> datetime:
        """Give the API server's time, to the second. Raises Transient."""
        _, headers = self._transport.told(Call("get", "version", "GET", "/version"))
        try:
            return parsedate_to_datetime(headers.get("Date") or "")
        except ValueError as error:
            raise Transient("ApiUnavailable", "API server: it does not tell its time") from error

    def offered(self, job: Object) -> list[str]:
        """Give the warnings with which a Job would be admitted; it is not made. Raises Refused, Transient."""
        row = permitted("Job", "create")
        call = Call("create", row.resource, "POST", row.path(self._namespace), (("dryRun", "All"),), job)
        _, headers = self._transport.told(call)
        return [warning(line) for line in headers.getlist("Warning")]

    def claim(self, name: str) -> Object | None:
        """Give a PersistentVolumeClaim, None if there is none. Raises Refused, Transient."""
        row = permitted("PersistentVolumeClaim", "get")
        try:
            return self._transport.call(Call("get", row.resource, "GET", row.path(self._namespace, name)))
        except translate.Missing:
            return None

    def cronjobs(self) -> list[Object]:
        """Give all CronJobs of the namespace, whoever made them; PAGE at most. Raises Refused, Transient."""
        row = permitted("CronJob", "watch")
        found = self._transport.call(
            Call("list", row.resource, "GET", row.path(self._namespace), (("limit", str(PAGE)),))
        )
        return list(found.get("items") or ())


def warning(header: str) -> str:
    """Give the text of a Warning header, whose form is `299 - "text"` with escapes (RFC 7234, 5.5)."""
    quoted = re.fullmatch(r'[0-9]{3} \S+ "(.*)"', header.strip(), re.DOTALL)
    return clean(re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else header)
