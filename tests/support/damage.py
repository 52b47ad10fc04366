"""What a disk can do to a file: cut it off anywhere, flip a bit of it, lose it."""

import random
from collections.abc import Iterator
from pathlib import Path


def harms(content: bytes, count: int, seed: int) -> Iterator[tuple[str, bytes | None]]:
    """Yield a file gone (None), empty, and so often cut off somewhere and with one bit flipped, each with its name."""
    chance = random.Random(seed)  # noqa: S311 (the same each time)
    yield from (("gone", None), ("empty", b""))
    for _ in range(count if content else 0):
        end, at, bit = (chance.randrange(limit) for limit in (len(content), len(content), 8))
        yield f"cut off after {end} bytes", content[:end]
        yield f"bit {bit} of byte {at} flipped", content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def harm(file: Path, content: bytes | None) -> None:
    """Put this in a file's place, no matter who may write to it; None: nothing."""
    file.unlink()
    if content is not None:
        file.write_bytes(content)
