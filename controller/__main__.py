"""`coachwork`, and `python -m controller`."""

import sys

INTERRUPTED = 130  # exit code


def main() -> None:
    """Run the command line. Ctrl-C ends it without a traceback, while it is still being loaded too."""
    try:
        from controller.cli import app  # noqa: PLC0415 (see above)

        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
