"""Private keys, known_hosts and certificates: what is wrong with such a text, in words that say the remedy. Pure.

Refuses what ssh and TLS libraries would only complain about later. Repeats no part of a text. Formats: PROTOCOL.key of
OpenSSH, RFC 7468 (PEM), X.690 (DER), known_hosts in sshd(8).
"""

import base64
import re
from collections.abc import Iterator

SHOWN = 5  # malformed lines in a message
WHOLE = "give the whole file, from -----BEGIN to -----END"
_DER_SEQUENCE = 0x30

# --- a private key --------------------------------------------------------------------------------

_KEY = re.compile(
    r"-----BEGIN (?P<kind>[A-Z0-9 ]{0,20})PRIVATE KEY-----\n(?P<body>.*)\n-----END (?P=kind)PRIVATE KEY-----", re.DOTALL
)
_MAGIC = b"openssh-key-v1\0"
_PASSPHRASE = "is protected by a passphrase: make a copy without one, ssh-keygen -p -N '' -f COPY"  # noqa: S105 - a text


def key_fault(text: str) -> str:
    """Give what is wrong with a private key, "" if nothing."""
    found = _KEY.fullmatch(text.strip())
    if not found:
        return _no_key_fault(text)
    if found["kind"] == "ENCRYPTED " or re.search(r"^Proc-Type:.*ENCRYPTED", found["body"], re.MULTILINE):
        return _PASSPHRASE
    blob = _blob("".join(found["body"].split()))
    if found["kind"] == "OPENSSH ":
        return _openssh_fault(blob)
    return "" if _is_der(blob) else f"is damaged: {WHOLE}"


def _no_key_fault(text: str) -> str:
    if text.startswith("PuTTY-User-Key-File"):
        return "is a key of PuTTY: convert it, puttygen KEY.ppk -O private-openssh-new -o KEY"
    if re.match(r"\s*(ssh|ecdsa|sk)-\S+ AAAA", text):
        return "is the public key: give the private one, the file without .pub"
    return f"is no private key: {WHOLE}"


def _openssh_fault(blob: bytes) -> str:
    if not blob.startswith(_MAGIC):
        return f"is damaged: {WHOLE}"
    try:
        cipher, rest = _string(blob[len(_MAGIC) :])
        _, rest = _string(rest)  # how a passphrase becomes a key, and its parameters
        _, rest = _string(rest)
        public, rest = _string(rest[4:])  # after how many keys there are: always one
        private, _ = _string(rest)
        kind, _ = _string(public)
    except ValueError:
        return f"is damaged: {WHOLE}"
    if cipher != b"none":
        return _PASSPHRASE
    if kind.startswith(b"sk-"):
        return "needs a hardware security key, which the controller does not have: make one of type ed25519"
    return "" if private else f"is damaged: {WHOLE}"


# --- known_hosts and certificates -----------------------------------------------------------------


def hosts_fault(text: str) -> str:
    """Give what is wrong with known_hosts, "" if nothing; sshd(8), SSH_KNOWN_HOSTS FILE FORMAT."""
    lines = [(at, line.split()) for at, line in enumerate(text.splitlines(), 1)]
    entries = [(at, words) for at, words in lines if words and not words[0].startswith("#")]
    if not entries:
        return "has no line with a host's key"
    wrong = [str(at) for at, words in entries if not _is_host(words)]
    if not wrong:
        return ""
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    which = f"line{'s' * (len(wrong) > 1)} {', '.join(wrong[:SHOWN])}{more}"
    return f"{which}: expected HOST TYPE KEY, as in ~/.ssh/known_hosts"


def _is_host(words: list[str]) -> bool:
    if words[0] in {"@cert-authority", "@revoked"}:
        words = words[1:]
    if len(words) < 3 or not _is_name(words[0]):  # noqa: PLR2004 (host, type, key)
        return False
    try:
        return _string(_blob(words[2]))[0] == words[1].encode()
    except ValueError:
        return False


def _is_name(text: str) -> bool:
    """Tell whether this can be the host of a line: names, patterns, [host]:port, or a hash of one."""
    if not text.startswith("|"):
        return not text.startswith("@")
    parts = text.split("|")
    return len(parts) == 4 and parts[1] == "1" and bool(_blob(parts[2])) and bool(_blob(parts[3]))  # noqa: PLR2004


def authority_fault(text: str) -> str:
    """Give what is wrong with ca.crt, "" if nothing: PEM certificates (RFC 7468), with any text between them."""
    if not text.strip():
        return ""
    if "PRIVATE KEY-----" in text:
        return "holds a private key: give the authority's certificate alone, and change that key"
    bodies = list(_certificates(text))
    if not bodies:
        return f"holds no certificate in PEM form: {WHOLE}"
    sound = all(_is_der(blob) and blob[_header(blob) :][:1] == bytes([_DER_SEQUENCE]) for blob in map(_blob, bodies))
    return "" if sound and len(bodies) == text.count("-----BEGIN CERTIFICATE-----") else f"is damaged: {WHOLE}"


def _certificates(text: str) -> Iterator[str]:
    for part in text.split("-----BEGIN CERTIFICATE-----")[1:]:
        body, end, _ = part.partition("-----END CERTIFICATE-----")
        if end:
            yield "".join(body.split())


# --- bytes ----------------------------------------------------------------------------------------


def _blob(text: str) -> bytes:
    """Give what base64 text stands for, nothing if it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _string(data: bytes) -> tuple[bytes, bytes]:
    """Give the string that SSH data begin with, and what follows (RFC 4251, 5). Raises ValueError."""
    end = 4 + int.from_bytes(data[:4], "big")
    if len(data) < 4 or len(data) < end:  # noqa: PLR2004 (bytes of a length)
        raise ValueError
    return data[4:end], data[end:]


def _is_der(blob: bytes) -> bool:
    """Tell whether these bytes are one whole DER sequence (X.690, 8.1), as keys and certificates are."""
    if blob[:1] != bytes([_DER_SEQUENCE]) or len(blob) < 2:  # noqa: PLR2004 (tag and length)
        return False
    start = _header(blob)
    length = blob[1] if start == 2 else int.from_bytes(blob[2:start], "big")  # noqa: PLR2004 (the short form)
    return len(blob) == start + length


def _header(blob: bytes) -> int:
    """Give how many bytes tag and length take."""
    return 2 if blob[1] < 0x80 else 2 + (blob[1] & 0x7F)  # noqa: PLR2004 (the long form's bit)
