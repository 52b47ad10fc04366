"""Private keys, known_hosts and certificates: what is wrong with such a text, in words that say the remedy. Pure.

Refuses what ssh and TLS libraries would only complain about later. Repeats no part of a text. Formats: PROTOCOL.key of
OpenSSH, RFC 7468 (PEM), X.690 (DER), known_hosts in sshd(8).
"""

import base64
import re

SHOWN = 5  # malformed lines in a message
WHOLE = "write the whole file, from -----BEGIN to -----END"
_DER_SEQUENCE = 0x30
_LONG = 0x80  # the bit of a DER length that is written in further bytes

_KEY = re.compile(
    r"-----BEGIN (?P<kind>[A-Z0-9 ]{0,20})PRIVATE KEY-----\n(?P<body>.*)\n-----END (?P=kind)PRIVATE KEY-----", re.DOTALL
)
_MAGIC = b"openssh-key-v1\0"
_PASSPHRASE = "is protected by a passphrase: make a copy without one, ssh-keygen -p -N '' -f COPY"  # noqa: S105 - a text
_HOST_PARTS, _HASH_PARTS = 3, 4  # of a line of known_hosts (host, type, key), of a hashed host


def key_fault(text: str) -> str:
    """Return what is wrong with a private key, "" if nothing."""
    found = _KEY.fullmatch(text.strip())
    if not found:
        if text.startswith("PuTTY-User-Key-File"):
            return "is a key of PuTTY: convert it, puttygen KEY.ppk -O private-openssh-new -o KEY"
        if re.match(r"\s*(ssh|ecdsa|sk)-\S+ AAAA", text):
            return "is the public key: write the private one, the file without .pub"
        return f"is not a private key: {WHOLE}"
    if found["kind"] == "ENCRYPTED " or re.search(r"^Proc-Type:.*ENCRYPTED", found["body"], re.MULTILINE):
        return _PASSPHRASE
    blob = _decoded("".join(found["body"].split()))
    if found["kind"] == "OPENSSH ":
        return _openssh_fault(blob)
    return "" if _is_der(blob) else f"is damaged: {WHOLE}"


def _openssh_fault(blob: bytes) -> str:
    if not blob.startswith(_MAGIC):
        return f"is damaged: {WHOLE}"
    try:
        cipher, rest = _string(blob[len(_MAGIC) :])
        _, rest = _string(rest)  # how a passphrase becomes a key, and its parameters
        _, rest = _string(rest)
        public, rest = _string(rest[4:])  # after the number of keys: always one
        private, _ = _string(rest)
        kind, _ = _string(public)
    except ValueError:
        return f"is damaged: {WHOLE}"
    if cipher != b"none":
        return _PASSPHRASE
    if kind.startswith(b"sk-"):
        return "needs a hardware security key, which the controller does not have: make one of type ed25519"
    return "" if private else f"is damaged: {WHOLE}"


def hosts_fault(text: str) -> str:
    """Return what is wrong with known_hosts, "" if nothing; sshd(8), SSH_KNOWN_HOSTS FILE FORMAT."""
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
    """Return whether these words are a line: names, patterns, [host]:port or a hash of one, then type and key."""
    if words[0] in {"@cert-authority", "@revoked"}:
        words = words[1:]
    if len(words) < _HOST_PARTS or words[0].startswith("@"):
        return False
    if words[0].startswith("|"):
        hashed = words[0].split("|")
        if len(hashed) != _HASH_PARTS or hashed[1] != "1" or not all(map(_decoded, hashed[2:])):
            return False
    try:
        return _string(_decoded(words[2]))[0] == words[1].encode()
    except ValueError:
        return False


def authority_fault(text: str) -> str:
    """Return what is wrong with ca.crt, "" if nothing: PEM certificates (RFC 7468), with any text between them."""
    if not text.strip():
        return ""
    if "PRIVATE KEY-----" in text:
        return "holds a private key: write the authority's certificate alone, and change that key"
    begun = text.split("-----BEGIN CERTIFICATE-----")[1:]
    bodies = [body for body, end, _ in (part.partition("-----END CERTIFICATE-----") for part in begun) if end]
    if not bodies:
        return f"holds no certificate in PEM form: {WHOLE}"
    blobs = [_decoded("".join(body.split())) for body in bodies]
    sound = all(_is_der(blob) and blob[_header(blob) :][:1] == bytes([_DER_SEQUENCE]) for blob in blobs)
    return "" if sound and len(bodies) == len(begun) else f"is damaged: {WHOLE}"


# --- bytes ----------------------------------------------------------------------------------------


def _decoded(text: str) -> bytes:
    """Return what base64 text stands for, nothing if it is malformed."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _string(data: bytes) -> tuple[bytes, bytes]:
    """Return the string that SSH data begin with, and what follows (RFC 4251, 5). Raises ValueError."""
    end = 4 + int.from_bytes(data[:4], "big")
    if len(data) < 4 or len(data) < end:  # noqa: PLR2004 (bytes of a length)
        raise ValueError
    return data[4:end], data[end:]


def _is_der(blob: bytes) -> bool:
    """Return whether these bytes are one whole DER sequence (X.690, 8.1), as keys and certificates are."""
    if len(blob) < 2 or blob[0] != _DER_SEQUENCE:  # noqa: PLR2004 (tag and length)
        return False
    start = _header(blob)
    length = int.from_bytes(blob[2:start], "big") if blob[1] & _LONG else blob[1]
    return len(blob) == start + length


def _header(blob: bytes) -> int:
    """Return how many bytes tag and length take."""
    return 2 + (blob[1] & ~_LONG if blob[1] & _LONG else 0)
