"""What the operator may set about Git. No I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GitSettings:
    """Limits on everything that a repository or its server can do to us. Times are seconds."""

    resolve_timeout: float = 20  # one ls-remote
    fetch_timeout: float = 300  # one fetch, one checkout
    max_bytes: int = 2 * 1024**3  # of one mirror, and of one checkout with its submodules
    max_files: int = 100_000  # of one checkout with its submodules
    max_text: int = 1024 * 1024  # bytes of one file that the core reads
    allow_file: bool = False  # file:// and absolute paths
    concurrency: int = 4  # git processes that talk to remotes at once
    pause: float = 30  # in which a host that did not answer is not asked again
    wait: float = 5  # for one of them, or for a lock, before the pass comes back later
