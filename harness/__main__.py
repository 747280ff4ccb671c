"""Where the process begins: `lockstep`, or `python -m harness`."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """The command line; interrupted before that is there, it ends as it would later."""
    try:
        from harness import cli
    except KeyboardInterrupt:
        print("lockstep: interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    cli.main()


if __name__ == "__main__":
    main()
