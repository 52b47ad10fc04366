"""What is sent: to Slack, to Teams, to anybody; who may get it."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace

import pytest

from controller.core.errors import Invalid
from controller.core.notices import Letter, body, headers, receiver

EVIL = "<!channel> @here [x](https://evil.example) &amp; <https://evil.example|click>"
LETTER = Letter("u", "slack", 0, "iris", 7, "RolledBack", "a" * 40, "ExitCode", EVIL, "2026-01-01T00:00:00Z")


def secret(**values: str) -> dict[str, object]:
    return {"data": {key.replace("_", "-"): base64.b64encode(text.encode()).decode() for key, text in values.items()}}


def test_slack_gets_its_form_and_what_a_stage_said_mentions_nobody() -> None:
    text = json.loads(body(LETTER, "hooks.slack.com"))
    assert text.keys() == {"text"}
    start = "iris: run 7 of commit aaaaaaaaaaaa failed, and its services were rolled back: &lt;!channel&gt; "
    assert text["text"].startswith(start)
    assert not {"<", ">", "@here"} & {*text["text"], *text["text"].split()}
    assert "](" not in text["text"]


def test_teams_gets_a_card_of_plain_text() -> None:
    for host in ("prod-1.westus.logic.azure.com", "x.api.powerplatform.com", "acme.webhook.office.com"):
        (attachment,) = json.loads(body(LETTER, host))["attachments"]
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        assert attachment["content"]["body"][0]["inlines"][0]["text"].endswith(EVIL)


def test_anybody_else_gets_slacks_form_and_the_fields() -> None:
    found = json.loads(body(LETTER, "ci.example"))
    assert (found["request"], found["run"], found["event"], found["message"]) == ("iris", 7, "RolledBack", EVIL)
    assert found["id"] == "u-7"


def test_of_a_run_that_recovered_nothing_more_is_said() -> None:
    text = json.loads(body(replace(LETTER, event="Recovered"), "ci.example"))["text"]
    assert text == "iris: run 7 of commit aaaaaaaaaaaa succeeded again"


def test_it_is_signed_with_the_key_and_known_by_its_id_in_each_try() -> None:
    content = body(LETTER, "ci.example")
    found = headers(LETTER, receiver(secret(url="https://ci.example/x", hmac_key="sesame"), "slack"), content)
    signature = hmac.new(b"sesame", content, hashlib.sha256).hexdigest()
    assert found["X-Coachwork-Signature"] == f"sha256={signature}"
    assert found["Idempotency-Key"] == "u-7"
    assert "X-Coachwork-Signature" not in headers(LETTER, receiver(secret(url="http://ci.example"), "slack"), content)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x",
        "https://",
        "https://u:sesame@host/",
        "https://:sesame@host/",
        "https://host:0/",
        "https://host/a b",
        "http://[",
        "x\n",
        "https://b\u00fccher.example/",
        "https://host/\x7f",
    ],
)
def test_an_address_that_is_none_is_refused_and_never_shown(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        receiver(secret(url=url, hmac_key="k"), "slack")
    assert refused.value.problems == ("notify-secret slack, key url: expected an address, https://HOST/PATH",)


def test_all_that_is_wrong_with_the_secret_is_said() -> None:
    with pytest.raises(Invalid, match="not found in the controller's namespace"):
        receiver(None, "slack")
    with pytest.raises(Invalid, match="key url: expected an address"):
        receiver({}, "slack")
    with pytest.raises(Invalid) as refused:
        receiver({"data": {"urll": "eA==", "url": "/w=="}}, "slack")
    assert [line.split(": ")[0] for line in refused.value.problems] == [
        *("notify-secret slack, key url", "notify-secret slack, key url", "notify-secret slack, key urll")
    ]
