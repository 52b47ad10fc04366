"""`coachwork`, and `python -m controller`."""

import os
import sys

from controller.core.exits import Exit


def main() -> None:
    """Run the command line. Ctrl-C ends it with a word and no traceback, even while it is still being loaded.

    Where its output is no longer read (`| head -1`), it ends quietly, as done.
    """
    try:
        from controller.cli import app  # noqa: PLC0415 (within reach of the `except` below)

        app()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(Exit.INTERRUPTED)
    except SystemExit as end:
        if isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt):  # typer has made an exit of it
            sys.stderr.write("interrupted\n")
        if isinstance(end.__context__, BrokenPipeError) or not _read_to_the_end():
            sys.exit(Exit.DONE)
        raise


def _read_to_the_end() -> bool:
    """Return whether all output has been read; what has not is not written again when the process ends."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


if __name__ == "__main__":
    main()
