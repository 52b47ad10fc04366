"""What the Secret of `git-secret` may hold, and what is said of one that doesn't."""

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import asyncssh
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from controller.core.errors import Invalid
from controller.core.inputs.credentials import BASIC, SSH, fitting, git_credentials
from controller.core.model import GitCredentials

HTTPS_URL, SSH_URL, SHORT_URL = "https://git.example.com/a/b", "ssh://git@git.example.com:2222/a/b", "git@host:a/b.git"
KINDS = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256")


@cache
def key(kind: str = "ssh-ed25519", form: str = "openssh", passphrase: str | None = None) -> str:
    return asyncssh.generate_private_key(kind).export_private_key(form, passphrase).decode()


@cache
def public(kind: str = "ssh-ed25519") -> str:
    return asyncssh.import_private_key(key(kind)).export_public_key().decode()


@cache
def authority() -> str:
    return trustme.CA().cert_pem.bytes().decode()


def secret(kind: str, **values: str | bytes) -> dict[str, Any]:
    data = {
        name.replace("__", "-").replace("ca_crt", "ca.crt"): base64.b64encode(
            value.encode() if isinstance(value, str) else value
        ).decode()
        for name, value in values.items()
    }
    return {"kind": "Secret", "metadata": {"name": "s"}, "type": kind, "data": data}


def basic(**values: str | bytes) -> dict[str, Any]:
    return secret(BASIC, **{"username": "ada", "password": "hunter2", **values})


def ssh(**values: str | bytes) -> dict[str, Any]:
    return secret(SSH, **{"ssh__privatekey": key(), "known_hosts": f"git.example.com {public()}", **values})


def refused(of: Mapping[str, Any] | None, url: str, name: str = "deploy-key") -> tuple[str, str]:
    """Return reason and text; no text ever has a value of the Secret in it."""
    with pytest.raises(Invalid) as caught:
        git_credentials(None if of is None else dict(of), name, url)
    assert all(line.isprintable() for line in caught.value.problems)
    text = "\n".join(caught.value.problems)
    assert "hunter2" not in text
    assert "b3BlbnNzaC1rZXktdjEA" not in text
    return caught.value.reason, text


def test_a_password_is_read_without_the_line_end_that_editors_leave() -> None:
    found = git_credentials(basic(password="hunter2\n", ca_crt=authority()), "s", HTTPS_URL)
    assert found == GitCredentials(username="ada", password="hunter2", authority=authority())


@pytest.mark.parametrize("url", [SSH_URL, SHORT_URL])
def test_a_key_is_read_with_the_line_end_that_ssh_needs_and_no_carriage_returns(url: str) -> None:
    windows = key().strip().replace("\n", "\r\n")
    found = git_credentials(ssh(ssh__privatekey=windows, known_hosts="h " + public().strip()), "s", url)
    assert found == GitCredentials(private_key=key(), known_hosts="h " + public())


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_every_kind_and_form_are_taken(kind: str) -> None:
    forms = ["openssh", "pkcs8-pem"] + (["pkcs1-pem"] if kind != "ssh-ed25519" else [])
    for form in forms:
        assert git_credentials(ssh(ssh__privatekey=key(kind, form)), "s", SSH_URL).private_key == key(kind, form)


def test_no_secret_is_needed_over_https_and_one_is_over_ssh() -> None:
    assert git_credentials(None, "", HTTPS_URL) == GitCredentials()
    assert git_credentials(None, "", "file:///srv/a") == GitCredentials()
    for url in (SSH_URL, SHORT_URL):
        reason, text = refused(None, url, name="")
        assert reason == "GitSecretRequired"
        assert "git-secret: missing" in text
        assert "kubectl create secret generic NAME --type=kubernetes.io/ssh-auth" in text


@pytest.mark.parametrize(("url", "kind"), [(HTTPS_URL, BASIC), (SSH_URL, SSH)])
def test_a_secret_that_is_not_there_is_refused_with_the_command_that_makes_it(url: str, kind: str) -> None:
    reason, text = refused(None, url)
    assert reason == "GitSecretMissing"
    assert f"kubectl create secret generic deploy-key --type={kind} --from-" in text


def test_a_secret_of_another_type_is_refused() -> None:
    reason, text = refused({**basic(), "type": "Opaque"}, HTTPS_URL)
    assert reason == "GitSecretType"
    assert '"Opaque"' in text
    assert BASIC in text
    assert SSH in text


@pytest.mark.parametrize(
    ("found", "url", "word"),
    [(basic(), SSH_URL, "over ssh"), (basic(), SHORT_URL, "over ssh"), (ssh(), HTTPS_URL, "over http")],
)
def test_a_type_that_does_not_fit_the_address_is_refused(found: dict[str, Any], url: str, word: str) -> None:
    reason, text = refused(found, url)
    assert reason == "GitSecretUnfit"
    assert word in text
    assert refused(found, "file:///srv/a")[0] == "GitSecretUnfit"


def test_all_missing_keys_come_at_once_with_those_that_are_there() -> None:
    reason, text = refused(secret(BASIC, token="hunter2"), HTTPS_URL)
    assert reason == "GitSecretKeyMissing"
    assert "key username: missing" in text
    assert "key password: missing" in text
    assert "its keys: token" in text
    assert refused(ssh(known_hosts="\n"), SSH_URL)[0] == "GitSecretKeyMissing"
    assert refused({**basic(), "data": None}, HTTPS_URL)[0] == "GitSecretKeyMissing"


@pytest.mark.parametrize("value", [b"\xff\xfe", b"two\nlines", b"nul\0"])
def test_a_password_that_is_not_a_line_of_text_is_refused(value: bytes) -> None:
    assert refused(basic(password=value), HTTPS_URL)[0] == "GitSecretMalformed"


@pytest.mark.parametrize("data", ["not base64!", "ä", "abc", 7])
def test_a_value_that_is_not_base64_is_refused(data: Any) -> None:
    broken = {**basic(), "data": {**basic()["data"], "password": data}}
    assert refused(broken, HTTPS_URL)[0] == "GitSecretMalformed"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (lambda: key("ssh-rsa", "openssh", "geheim"), "passphrase"),
        (lambda: key("ssh-rsa", "pkcs8-pem", "geheim"), "passphrase"),
        (lambda: key("ssh-rsa", "pkcs1-pem", "geheim"), "passphrase"),
        (public, "public key"),
        (lambda: "PuTTY-User-Key-File-3: ssh-ed25519\nhunter2", "PuTTY"),
        (lambda: key()[:200], "not a private key"),
        (lambda: key().replace("\n", " "), "not a private key"),
        (lambda: key().replace("b3BlbnNzaC1rZXktdjEA", "b3BlbnNzaC1rZXktdjEB"), "damaged"),
        (lambda: key("ssh-rsa", "pkcs1-pem").replace("MII", "AAA", 1), "damaged"),
        (
            lambda: "\n".join(line for at, line in enumerate(key("ssh-rsa", "pkcs8-pem").split("\n")) if at != 3),
            "damaged",
        ),
        (lambda: "hunter2", "not a private key"),
    ],
)
def test_a_key_that_ssh_could_not_use_is_refused_with_its_remedy(text: Callable[[], str], word: str) -> None:
    reason, said = refused(ssh(ssh__privatekey=text()), SSH_URL)
    assert reason == "GitKeyUnusable"
    assert word in said


def test_known_hosts_of_every_form_are_taken() -> None:
    hashed = f"|1|{base64.b64encode(bytes(20)).decode()}|{base64.b64encode(bytes(20)).decode()}"
    hosts = ["git.example.com,192.0.2.1", "[git.example.com]:2222", hashed, "*.example.com,!bad.example.com"]
    lines = [f"{host} {public(kind).strip()} comment" for host in hosts for kind in KINDS]
    lines += ["", "# a comment", f"@cert-authority *.example.com {public()}", f"@revoked * {public()}"]
    assert git_credentials(ssh(known_hosts="\n".join(lines)), "s", SSH_URL).known_hosts.startswith("git.example.com")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (lambda: "# only this", "no line with a host's key"),
        (public, "line 1: expected HOST TYPE KEY"),
        (lambda: f"\nhost {public()}host ssh-ed25519 AAAA", "line 3:"),
        (lambda: f"host ssh-rsa {public().split()[1]}", "line 1:"),
        (lambda: f"|1|abc|def {public()}", "line 1:"),
        (lambda: f"@other host {public()}", "line 1:"),
        (lambda: "host\n" * 9, "lines 1, 2, 3, 4, 5 and 4 more:"),
    ],
)
def test_known_hosts_that_ssh_would_skip_are_refused_with_their_lines(text: Callable[[], str], word: str) -> None:
    reason, said = refused(ssh(known_hosts=text()), SSH_URL)
    assert reason == "GitKnownHostsMalformed"
    assert word in said


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (lambda: "hunter2", "no certificate"),
        (lambda: key("ssh-rsa", "pkcs8-pem"), "private key"),
        (lambda: authority()[:200], "no certificate"),
        (lambda: authority() + authority()[:200], "damaged"),
        (lambda: authority().replace("MII", "AAA", 1), "damaged"),
    ],
)
def test_a_malformed_authority_is_refused(text: Callable[[], str], word: str) -> None:
    reason, said = refused(basic(ca_crt=text()), HTTPS_URL)
    assert reason == "GitAuthorityMalformed"
    assert word in said


def test_several_authorities_with_text_between_them_are_taken() -> None:
    text = f"# first\n{authority()}\n# second\n{trustme.CA().cert_pem.bytes().decode()}"
    assert git_credentials(basic(ca_crt=text), "s", HTTPS_URL).authority == text


def test_all_that_is_wrong_comes_at_once() -> None:
    _, text = refused(ssh(ssh__privatekey=public(), known_hosts="x"), SSH_URL)
    assert "ssh-privatekey" in text
    assert "known_hosts" in text


@given(st.binary(max_size=200), st.binary(max_size=200), st.booleans())
def test_any_bytes_are_judged(one: bytes, two: bytes, wrapped: bool) -> None:
    if wrapped:
        one = b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + base64.b64encode(b"openssh-key-v1\0" + one)
        one += b"\n-----END OPENSSH PRIVATE KEY-----"
        two = b"-----BEGIN CERTIFICATE-----" + base64.b64encode(b"\x30" + two) + b"-----END CERTIFICATE-----"
    for found, url in ((ssh(ssh__privatekey=one, known_hosts=two), SSH_URL), (basic(ca_crt=two), HTTPS_URL)):
        with suppress(Invalid):
            git_credentials(found, "s", url)


@pytest.mark.parametrize(
    ("own", "other", "fits"),
    [
        (HTTPS_URL, "https://git.example.com/other", True),
        (HTTPS_URL, "https://GIT.example.com:443/other", True),
        (HTTPS_URL, "git+https://git.example.com/other", True),
        (HTTPS_URL, "https://git.example.com:8443/other", False),
        (HTTPS_URL, "http://git.example.com/other", False),
        (HTTPS_URL, "http://git.example.com:443/other", False),
        (HTTPS_URL, "https://git.example.com.evil.com/other", False),
        (HTTPS_URL, "https://evil.com/git.example.com", False),
        (HTTPS_URL, "ssh://git@git.example.com/other", False),
        (HTTPS_URL, "file:///srv/other", False),
        (HTTPS_URL, "https://git.example.com:bad/x", False),
        ("git@host:a/b", "ssh://git@host:22/c", True),
        ("git@host:a/b", "git+ssh://git@HOST/c", True),
        ("git@host:a/b", "ssh://git@host:2222/c", False),
        ("git@host:a/b", "git@other:a/b", False),
        ("file:///srv/a", "file:///srv/b", False),
    ],
)
def test_credentials_fit_the_same_server_only(own: str, other: str, fits: bool) -> None:
    given = GitCredentials(username="ada", password="hunter2")
    assert fitting(given, own, other) == (given if fits else None)
    assert fitting(None, own, other) is None
