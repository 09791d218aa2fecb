"""The codes that the command exits with."""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_NO_CURSOR = 4
EXIT_NOT_VERIFIED = 5
EXIT_BEHIND = 6  # cursors are further behind than `lag --max-behind` or `--max-age` allows
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h
EXIT_UNTOLD = 74  # EX_IOERR of sysexits.h
EXIT_BUSY = 75  # EX_TEMPFAIL of sysexits.h
EXIT_INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT

MEANINGS = {
    0: "done",
    EXIT_FAILED: "failed",
    EXIT_USAGE: "wrong usage",
    EXIT_REFUSED: "refused by the law",
    EXIT_NO_CURSOR: "no such cursor",
    EXIT_NOT_VERIFIED: "verification failed",
    EXIT_BEHIND: "further behind than allowed",
    EXIT_BUG: "a bug in cursor-ledger",
    EXIT_UNTOLD: "appended, but the output failed",
    EXIT_BUSY: "busy, try again",
    EXIT_INTERRUPTED: "interrupted",
}
"""What the help and the manual page say of each code."""
