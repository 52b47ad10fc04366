"""The Secret that `git-secret` names: judged, and turned into what opens the repository. Pure; repeats no value.

Refuses what git or ssh would only complain about later, in words that help nobody. Formats: the Secret types
kubernetes.io/basic-auth and kubernetes.io/ssh-auth, with ca.crt and known_hosts besides what Kubernetes itself knows.
"""

from collections.abc import Mapping

from controller.core.errors import Invalid
from controller.core.inputs import keyfiles, kinds, repository
from controller.core.model import Cause, GitCredentials, Object
from controller.core.text import OR_ASK, clean, quoted

BASIC, SSH = "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth"
FITS = {"https": BASIC, "http": BASIC, "ssh": SSH}  # by the scheme of the repository's address
FIELDS = {  # of GitCredentials, by the Secret's type and key
    BASIC: {"username": "username", "password": "password", "ca.crt": "authority"},
    SSH: {"ssh-privatekey": "private_key", "known_hosts": "known_hosts"},
}
COMMAND = {
    BASIC: "--from-literal=username=USER --from-file=password=FILE",
    SSH: "--from-file=ssh-privatekey=FILE --from-file=known_hosts=FILE",
}
SHOWN = 5  # keys of a Secret in a message

_ADD = {  # keys that a Secret needs
    "username": "most servers take any name with a token, like git",
    "password": "a password or an access token",
    "ssh-privatekey": "a private key without a passphrase",
    "known_hosts": "the server's public keys as its operator publishes them, in the form of ~/.ssh/known_hosts",
}
_FILES = {
    "ca.crt": keyfiles.authority_fault,
    "ssh-privatekey": keyfiles.key_fault,
    "known_hosts": keyfiles.hosts_fault,
}
REASONS = {
    "ca.crt": "GitAuthorityMalformed",
    "ssh-privatekey": "GitKeyUnusable",
    "known_hosts": "GitKnownHostsMalformed",
}


def git_credentials(secret: Object | None, name: str, repository_url: str) -> GitCredentials:
    """Return what Secret `name` ("": the request names none) opens `repository_url` with; `secret` is its state now.

    Raises Invalid with all that is wrong: GitSecretRequired, GitSecretMissing, GitSecretType, GitSecretUnfit,
    GitSecretKeyMissing, GitSecretMalformed, GitKeyUnusable, GitKnownHostsMalformed, GitAuthorityMalformed.
    """
    there = repository.server(repository_url)
    kind = FITS.get(there.scheme, "") if there else ""
    place = f"git-secret {clean(name, kinds.DNS_NAME_LIMIT)}"
    if not name and kind == SSH:
        raise Invalid("GitSecretRequired", [f"git-secret: missing: a repository over ssh needs one: {make('', SSH)}"])
    if not name:
        return GitCredentials()
    if secret is None:
        remedy = make(name, kind or BASIC)
        raise Invalid("GitSecretMissing", [f"{place}: not found in the controller's namespace: {remedy}"])
    if misfit := _misfit(str(secret.get("type") or "Opaque"), kind, name):
        raise Invalid(misfit.reason, [f"{place}: {misfit.message}"])
    found = {key: _value(secret.get("data") or {}, key) for key in FIELDS[kind]}
    causes = {key: value for key, value in found.items() if isinstance(value, Cause)}
    for first in causes.values():
        raise Invalid(first.reason, [f"{place}, key {key}: {cause.message}" for key, cause in causes.items()])
    return GitCredentials(**{FIELDS[kind][key]: str(text) for key, text in found.items()})


def fitting(credentials: GitCredentials | None, own: str, other: str) -> GitCredentials | None:
    """Return the credentials of the request's repository `own` where the repository `other` may get them too.

    That is on the same server: same transport, host and port. None anywhere else, so that no other host sees them.
    `other` may be written as a requirement has it, with `git+` before its scheme.
    """
    there = repository.server(own)
    return credentials if there and there == repository.server(other.removeprefix("git+")) else None


def make(name: str, kind: str) -> str:
    """Return the command that makes a Secret of type `kind`."""
    return f"kubectl create secret generic {clean(name, 253) or 'NAME'} --type={kind} {COMMAND[kind]}{OR_ASK}"


def _misfit(kind: str, needed: str, name: str) -> Cause | None:
    """Return why a Secret of one type can't open a repository that needs another ("": one that needs none)."""
    if kind not in FIELDS:
        again = f"the type of a Secret can't be changed: delete it, then {make(name, needed or BASIC)}"
        return Cause("GitSecretType", f"is of type {quoted(kind)}, {BASIC} or {SSH} is needed: {again}")
    if not needed:
        return Cause("GitSecretUnfit", "this repository's address takes no credentials: remove it")
    if kind == needed:
        return None
    have, over, write = ("a password", "ssh", "https") if needed == SSH else ("a key for ssh", "http", "ssh")
    return Cause(
        "GitSecretUnfit",
        f"is {have} ({kind}), but the repository's address is one over {over}: write its {write} address, or name a "
        f"Secret of type {needed}",
    )


def _value(data: Mapping[str, str], key: str) -> str | Cause:
    """Return a value as git or ssh reads it, or what is wrong with it."""
    try:
        text = kinds.base64_text(data.get(key) or "").replace("\r\n", "\n")
    except ValueError as error:
        return Cause("GitSecretMalformed", str(error))
    if not text.strip():
        there = ", ".join(sorted(map(clean, data))[:SHOWN]) or "none"
        missing = Cause("GitSecretKeyMissing", f"missing or empty (its keys: {there}): add it, {_ADD.get(key)}")
        return missing if key in _ADD else ""
    if key in _FILES:
        fault = _FILES[key](text)
        whole = text.strip() if key == "ssh-privatekey" else text.removesuffix("\n")
        return Cause(REASONS[key], fault) if fault else f"{whole}\n"  # without a line end, ssh reads no key
    line = text.removesuffix("\n")  # which `echo` and editors leave
    if any(ord(character) < ord(" ") or character == "\x7f" for character in line):
        return Cause("GitSecretMalformed", "has a line break or a control character inside: make it again")
    return line
