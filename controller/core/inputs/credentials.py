"""The Secret that `git-secret` names: judged, and turned into what opens the repository. Pure; repeats no value.

Refuses what git or ssh would only complain about later, in words that help nobody. Formats: the Secret types
kubernetes.io/basic-auth and kubernetes.io/ssh-auth, with known_hosts and ca.crt beside what Kubernetes itself knows.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.core.errors import Invalid
from controller.core.inputs import keyfiles, repository
from controller.core.model import Cause, GitCredentials, Object
from controller.core.text import clean, quoted

BASIC, SSH = "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth"
USERNAME, PASSWORD, AUTHORITY = "username", "password", "ca.crt"
PRIVATE_KEY, KNOWN_HOSTS = "ssh-privatekey", "known_hosts"
FITS = {"https": BASIC, "http": BASIC, "ssh": SSH}  # by the scheme of the repository's address
KEYS = {BASIC: (USERNAME, PASSWORD), SSH: (PRIVATE_KEY, KNOWN_HOSTS)}  # required ones
SHOWN = 5  # keys of a Secret in a message

COMMAND = {
    BASIC: "--from-literal=username=USER --from-file=password=FILE",
    SSH: "--from-file=ssh-privatekey=FILE --from-file=known_hosts=FILE",
}


def git_credentials(secret: Object | None, name: str, repository_url: str) -> GitCredentials:
    """Give what Secret `name` ("": the request names none) opens `repository_url` with; `secret` is it as it is now.

    Raises Invalid with all that is wrong: GitSecretRequired, GitSecretMissing, GitSecretType, GitSecretUnfit,
    GitSecretKeyMissing, GitSecretMalformed, GitKeyUnusable, GitKnownHostsMalformed, GitAuthorityMalformed.
    """
    there = repository.server(repository_url)
    wanted = FITS.get(there.scheme, "") if there else ""
    if not name and wanted == SSH:
        raise Invalid("GitSecretRequired", [f"git-secret: missing: a repository over ssh needs one: {make('', SSH)}"])
    if not name:
        return GitCredentials()
    if secret is None:
        remedy = make(name, wanted or BASIC)
        raise Invalid("GitSecretMissing", [f"{_place(name)}: does not exist in the controller's namespace: {remedy}"])
    _check_type(secret, name, wanted)
    read = _Read(name, secret.get("data") or {})
    found = _basic(read) if wanted == BASIC else _ssh(read)
    if read.problems:
        raise Invalid(read.problems[0].reason, [problem.message for problem in read.problems])
    return found


def fitting(credentials: GitCredentials | None, own: str, other: str) -> GitCredentials | None:
    """Give the credentials of the request's repository `own` where the repository `other` may get them too.

    That is on the same server: same transport, host and port. None anywhere else, so that no other host sees them.
    `other` may be written as a requirement has it, with `git+` before its scheme.
    """
    there = repository.server(own)
    return credentials if there and there == repository.server(other.removeprefix("git+")) else None


def make(name: str, kind: str) -> str:
    """Give the command that makes a Secret of type `kind`."""
    return f"kubectl create secret generic {clean(name, 253) or 'NAME'} --type={kind} {COMMAND[kind]}"


def _place(name: str, key: str = "") -> str:
    """Give the start of a message about the Secret, or one key of it."""
    return f"git-secret {clean(name, 253)}{key and f', key {key}'}"


def _check_type(secret: Object, name: str, wanted: str) -> None:
    """Raise Invalid where the Secret is of another type than the repository's address needs."""
    kind = str(secret.get("type") or "Opaque")
    again = f"the type of a Secret can't be changed: delete it, then {make(name, wanted or BASIC)}"
    if kind not in KEYS:
        line = f"{_place(name)}: is of type {quoted(kind)}, {BASIC} or {SSH} is needed: {again}"
        raise Invalid("GitSecretType", [line])
    if not wanted:
        raise Invalid("GitSecretUnfit", [f"{_place(name)}: this repository's address takes no credentials: remove it"])
    if kind != wanted and wanted == SSH:
        line = f"{_place(name)}: is a password ({BASIC}), but the repository's address is one over ssh: "
        raise Invalid("GitSecretUnfit", [f"{line}write its https address, or name a Secret of type {SSH}"])
    if kind != wanted:
        line = f"{_place(name)}: is a key for ssh ({SSH}), but the repository's address is one over http: "
        raise Invalid("GitSecretUnfit", [f"{line}write its ssh address, or name a Secret of type {BASIC}"])


@dataclass(frozen=True, slots=True)
class _Read:
    """The values of a Secret, and what is wrong with them."""

    name: str
    data: Mapping[str, str]
    problems: list[Cause] = field(default_factory=list)

    def text(self, key: str, *, needed: bool = True) -> str:
        """Give a value as text with Unix line ends; "" where it is missing or no text."""
        try:
            text = base64.b64decode(self.data.get(key) or "", validate=True).decode().replace("\r\n", "\n")
        except (ValueError, TypeError):
            cause = Cause("GitSecretMalformed", f"{_place(self.name, key)}: is not text in UTF-8: make it again")
            self.problems.append(cause)
            return ""
        if not text.strip() and needed:
            there = ", ".join(sorted(clean(other, 60) for other in self.data)[:SHOWN]) or "none"
            line = f"{_place(self.name, key)}: missing or empty (its keys: {there}): add it, {_ADD[key]}"
            self.problems.append(Cause("GitSecretKeyMissing", line))
        return text


_ADD = {
    USERNAME: "most servers take any name beside a token, like git",
    PASSWORD: "a password or an access token",
    PRIVATE_KEY: "a private key without a passphrase",
    KNOWN_HOSTS: "the server's public keys as its operator publishes them, in the form of ~/.ssh/known_hosts",
}


def _basic(read: _Read) -> GitCredentials:
    username, password = (_one_line(read, key) for key in KEYS[BASIC])
    authority = read.text(AUTHORITY, needed=False)
    if fault := keyfiles.authority_fault(authority):
        read.problems.append(Cause("GitAuthorityMalformed", f"{_place(read.name, AUTHORITY)}: {fault}"))
    return GitCredentials(username=username, password=password, authority=_ended(authority))


def _one_line(read: _Read, key: str) -> str:
    """Give a user name or password: without the line end that `echo` and editors leave, and with no other."""
    text = read.text(key).removesuffix("\n")
    if any(ord(character) < ord(" ") or character == "\x7f" for character in text):
        line = f"{_place(read.name, key)}: has a line break or a control character inside: make it again"
        read.problems.append(Cause("GitSecretMalformed", line))
    return text


def _ssh(read: _Read) -> GitCredentials:
    key, hosts = (read.text(name) for name in KEYS[SSH])
    if key.strip() and (fault := keyfiles.key_fault(key)):
        read.problems.append(Cause("GitKeyUnusable", f"{_place(read.name, PRIVATE_KEY)}: {fault}"))
    if hosts.strip() and (fault := keyfiles.hosts_fault(hosts)):
        read.problems.append(Cause("GitKnownHostsMalformed", f"{_place(read.name, KNOWN_HOSTS)}: {fault}"))
    return GitCredentials(private_key=_ended(key.strip()), known_hosts=_ended(hosts))


def _ended(text: str) -> str:
    """Give a file's text with a line end, without which ssh reads no key."""
    return text if not text or text.endswith("\n") else f"{text}\n"
