"""System calls that fail, end short or never return: one after the other, on every file."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import attrs

from support.campaign.power_cuts import cut
from support.campaign.promises import Story, examine
from support.campaign.recording import Recording, Stage
from support.campaign.results import Result

__all__ = ["ALWAYS", "Case", "cases", "full_disk", "may_mount", "strike"]

ALWAYS = 1_000_000

# The sync of the log is the last call of a COMMIT: what it fails to make sure is in the file.
COMEBACK = ("S", "-wal")
# Closing copies the log into the database, and removes it.
CLOSING = (("W", ".db"), ("S", ".db"), ("U", "-wal"), ("T", ""))
READ = (("P", ".db"), ("P", "-wal"))
KILLED = (("W", "-wal"), ("S", "-wal"), ("U", "-wal"), ("W", ".db"), ("S", ".db"))
KILLS = ("kill-before", "kill-after")
# The journal, the database, the log.
CREATING = (
    *(("O", ".db"), ("O", "-journal"), ("O", "-wal"), ("U", "-journal"), ("T", "")),
    *(("W", "-journal"), ("S", "-journal"), ("W", ".db"), ("S", ".db"), ("W", "-wal")),
)


@attrs.frozen
class Case:
    """One failing call, and how its process goes on and ends."""

    kind: str
    suffix: str
    first: int
    last: int
    action: str
    many: bool = False
    goes_on: bool = False
    ends: str = "kill"
    before_opening: bool = False
    beside: bool = False
    reopens: bool = False

    def __str__(self) -> str:
        calls = f"{self.first}" if self.first == self.last else f"{self.first} and on"
        parts = [f"{self.kind}{self.suffix} {calls} {self.action}"]
        flags = ("many", "goes_on", "before_opening", "beside", "reopens")
        parts += [name for name in flags if getattr(self, name)]
        return ", ".join([*parts, self.ends])

    @property
    def comes_back(self) -> bool:
        """Whether what raised is in the file, whole."""
        return (self.kind, self.suffix) == COMEBACK and self.action in ("EIO", "ENOSPC")


def cases(nths: tuple[int, ...]) -> Iterator[Case]:
    """Yield every combination of calls, errors, and ways to go on and to end."""
    for ends, first in product(("kill", "close"), nths):
        yield from _in_appending(first, ends)
    for ends, action, (kind, suffix) in product(("kill", "close"), ("EIO", "ENOSPC"), CLOSING):
        yield Case(kind, suffix, 1, ALWAYS, action, ends=ends)
    for ends, first, last, (kind, suffix), early in product(
        ("kill", "close"), nths, (0, ALWAYS), READ, (False, True)
    ):
        yield Case(
            kind, suffix, first, last or first, "EIO",
            goes_on=True, ends=ends, before_opening=early, reopens=True,
        )  # fmt: skip
    for ends, first, goes_on in product(("kill", "close"), nths, (False, True)):
        yield Case("S", "-wal", first, first, "EIO", goes_on=goes_on, ends=ends, beside=True)
    for action, (kind, suffix), first in product(KILLS, KILLED, nths):
        yield Case(kind, suffix, first, first, action, many=kind == "W", ends="close")
    for (kind, suffix), first, action in product(CREATING, nths, ("EIO", "ENOSPC", *KILLS)):
        yield Case(kind, suffix, first, first, action, before_opening=True)


def _in_appending(first: int, ends: str) -> Iterator[Case]:
    for many, goes_on, last in product((False, True), (False, True), (first, ALWAYS)):
        for action in ("EIO", "ENOSPC", "short"):
            yield Case("W", "-wal", first, last, action, many, goes_on, ends)
        yield Case("S", "-wal", first, last, "EIO", many, goes_on, ends)


def strike(stage: Stage, case: Case, result: Result, *, cuts: int = 0, seed: int = 1) -> Recording:
    """Run one case, examine what is left; and after so many power cuts, too."""
    fault = (case.kind, case.suffix, case.first, case.last, case.action)
    recording = stage.record(
        "faulted",
        fault=fault,
        many=case.many,
        goes_on=case.goes_on,
        ends=case.ends,
        before_opening=case.before_opening,
        beside=case.beside,
        reopens=case.reopens,
    )
    result.times += recording.struck
    if recording.status not in (0, -9):
        result.breaks(str(case), f"ended with status {recording.status}")
    if cuts:
        cut(recording, result, str(case), cuts, seed)
    findings = examine(recording.database, Story.of(recording.marks()))
    result.lost += bool(findings.lost)
    if findings.broken:
        result.breaks(str(case), findings)
    stage.forget(recording)
    return recording


def full_disk(stage: Stage, mount: Path, times: int) -> Result:
    """Fill a disk that is really full, make room, go on. Only root can mount one."""
    result = Result("a disk that is really full")
    for n in range(times):
        mount.mkdir(exist_ok=True)
        size = f"size={2_048 + 16 * n}k"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", mount], check=True)
        try:
            recording = stage.record("filled", folder=mount)
            if recording.status:
                result.breaks(size, f"ended with status {recording.status}")
            copy = mount.parent / "copy"
            shutil.copytree(mount, copy, ignore=shutil.ignore_patterns("*-shm"))
        finally:
            subprocess.run(["umount", mount], check=True)
        findings = examine(copy / recording.database.name, Story.of(recording.marks()))
        result.times += 1
        result.lost += bool(findings.lost)
        if findings.broken:
            result.breaks(size, findings)
        shutil.rmtree(copy)
    return result


def may_mount() -> str:
    """Return why no disk can be mounted; "" if one can."""
    if os.geteuid() != 0:
        return "only root may mount a small disk"
    probe = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        check=False,
        capture_output=True,
    )
    return "no disk can be mounted here" if probe.returncode else ""
