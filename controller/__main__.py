"""`coachwork`, and `python -m controller`."""

import os
import sys

INTERRUPTED = 130  # exit code


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, while it is still being loaded too.

    Where nobody reads any more (`| head -1`), it ends quietly and well.
    """
    try:
        from controller.cli import app  # noqa: PLC0415 (see above)

        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError) or not _read_to_the_end():
            sys.exit(0)
        raise


def _read_to_the_end() -> bool:
    """Tell whether all that was written has found a reader; what has not is not tried again at the process's end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


if __name__ == "__main__":
    main()
