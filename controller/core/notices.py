"""What is sent to whom a request names by `notify-secret`: the address and key in its Secret, and the message.

A message holds what the record says anyway, never a value of a Secret. It is Slack's form, which Mattermost and others
take as well; plain receivers find the same as fields of their own. Teams takes cards only. What a stage said is text:
it mentions nobody, and no words of its own stand for a link.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from controller.core.errors import Invalid
from controller.core.inputs import kinds, secretkeys
from controller.core.model import NoticeEvent, Object

URL, KEY = "url", "hmac-key"
SLACK: Final = ("hooks.slack.com", "hooks.slack-gov.com")
TEAMS: Final = (".logic.azure.com", ".powerplatform.com", ".webhook.office.com")
_CARD: Final = "application/vnd.microsoft.card.adaptive"
_WORDS: Final[dict[NoticeEvent, str]] = {
    "Failed": "failed",
    "RolledBack": "failed, and its services were rolled back",
    "Recovered": "succeeded again",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """One try to notify people of a run. `id` is the same in each try: who gets it twice knows it by that."""

    uid: str  # of the request
    secret: str
    tries: int
    request: str
    run: int
    event: NoticeEvent
    commit: str
    reason: str
    message: str
    finished: str

    @property
    def id(self) -> str:
        """What the receiver knows the notification by."""
        return f"{self.uid}-{self.run}"

    @property
    def key(self) -> str:
        """What this try is known by."""
        return f"{self.id}-{self.tries}"


@dataclass(frozen=True, slots=True, repr=False)
class Receiver:
    """Where letters go, and what they are signed with ("": not at all)."""

    url: SplitResult
    key: str = ""


def receiver(secret: Object | None, name: str) -> Receiver:
    """Return what the Secret `name` says. Raises Invalid, which never shows a value."""
    place = f"notify-secret {name}"
    made = f"{name} --from-literal={URL}=https://..."
    values, problems = secretkeys.read(secret, place, made, (URL, KEY).__contains__, f"write {URL} and {KEY}")
    address, key = (values.get(name, "").strip() for name in (URL, KEY))
    try:
        url = urlsplit(address)
        fit = url.scheme in ("http", "https") and url.hostname and url.port != 0 and url.username is None
    except ValueError:
        fit = False
    if not fit or not address.isascii() or not address.isprintable() or " " in address:
        problems.append(f"{place}, key {URL}: expected an address, https://HOST/PATH")
    if problems:
        raise Invalid("SecretUnusable", kinds.bounded(sorted(problems)))
    return Receiver(url, key)


def body(letter: Letter, host: str) -> bytes:
    """Return what is posted to a host."""
    said = f": {letter.message}" if letter.event != "Recovered" else ""
    line = f"{letter.request}: run {letter.run} of commit {letter.commit[:12]} {_WORDS[letter.event]}{said}"
    if host.endswith(TEAMS):
        runs = {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line}]}  # no Markdown is read there
        card = {"type": "AdaptiveCard", "version": "1.2", "body": [runs]}
        return _json({"type": "message", "attachments": [{"contentType": _CARD, "content": card}]})
    text = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u200b")
    text = text.replace("](", "]\u200b(")  # a link of Mattermost's, with words of its own
    fields = ("request", "run", "event", "commit", "reason", "message", "finished", "id")
    return _json(
        {"text": text} if host in SLACK else {"text": text, **{name: getattr(letter, name) for name in fields}}
    )


def headers(letter: Letter, to: Receiver, content: bytes) -> dict[str, str]:
    """Return the headers of a POST; with a key, its signature: HMAC-SHA256 of the body."""
    plain = {"Content-Type": "application/json", "User-Agent": "coachwork", "Idempotency-Key": letter.id}
    if not to.key:
        return plain
    return plain | {"X-Coachwork-Signature": f"sha256={hmac.new(to.key.encode(), content, hashlib.sha256).hexdigest()}"}


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()
