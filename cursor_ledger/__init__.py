"""Where the command `cursor-ledger` starts. The library is `ledger`, and nothing else is here.

Most of the time of a short command goes into its imports, so Ctrl-C must be handled before them.
"""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["main"]

INTERRUPTED = 130  # the exit code that shells have for it: 128 and the number of SIGINT


def main() -> None:
    """Run the command. Ctrl-C ends it without a traceback, also while it is still importing."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # and not ignored, as in the background of a shell
        signal.signal(signal.SIGINT, _stop)
    from projections.cli import main as command

    try:
        signal.signal(signal.SIGINT, before)
        command()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _stop(*_: object) -> None:
    # Nothing is open and nothing is appended yet, so there is nothing to wind up.
    os._exit(INTERRUPTED)
