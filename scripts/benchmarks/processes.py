"""How much memory and time a whole process takes; and the long logs that it reads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from itertools import cycle
from pathlib import Path

from bare import Bare

__all__ = ["grow", "import_ms", "memory_mb"]


def grow(path: Path, entries: int, *, cursors: int) -> None:
    """Fill a ledger by the bare statements, which give the same rows and digests, but sooner."""
    with closing(Bare(path, "off")) as bare:
        at = [0] * cursors
        run = max(1, min(200, entries // cursors))
        appended = 0
        for nth in cycle(range(cursors)):
            if appended >= entries:
                break
            rows = min(run, entries - appended)
            advances = [(to, f"msg-{to}") for to in range(at[nth] + 1, at[nth] + rows + 1)]
            bare.append((f"consumer-{nth}", "orders", ""), advances)
            at[nth] += rows
            appended += rows
        bare.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


REPLAY = """
import itertools, sys, ledger
from ledger.law import rules
with ledger.open(sys.argv[1]) as book:
    cursors = {}
    for entry in itertools.islice(book.entries(), int(sys.argv[2])):
        cursors[entry.key] = rules.replay(cursors.get(entry.key), entry)
"""

# On Linux a process that is started takes over the peak of the one that starts it; so this one,
# which is small, starts the one that is measured.
MEASURE = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def memory_mb(path: Path, entries: int) -> float:
    """Return how much more memory a process takes at its peak that replays so many entries."""
    peaks = []
    for read in (1, entries):
        replay = [sys.executable, "-c", REPLAY, str(path), str(read)]
        command = [sys.executable, "-S", "-c", MEASURE, *replay]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1_000)
    return peaks[1] - peaks[0]


def import_ms() -> float:
    # Names are imported when they are first used; every program uses `open`, which is there.
    command = [sys.executable, "-X", "importtime", "-c", "import ledger.opening"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    last = re.findall(r"\|\s+(\d+) \| ledger\.opening$", done.stderr, re.MULTILINE)
    return int(last[-1]) / 1_000
