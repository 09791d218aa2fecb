"""A file that is removed, replaced, cut short or locked away beneath an open ledger."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import ledger
from ledger import CursorKey, Ledger, LedgerError
from support.campaign.promises import Story, examine
from support.campaign.results import Result

__all__ = ["CUT_SHORT", "GONE", "STAYS", "beneath"]

KEY = CursorKey("consumer", "stream")


def beneath(folder: Path, ways: Mapping[str, Callable[[Path], None]], times: int) -> Result:
    """Append, do it, append more; what was acknowledged is at the path afterwards."""
    result = Result(f"beneath an open ledger: {', '.join(ways)}")
    for name, way in ways.items():
        for n in range(times):
            where = folder / f"{name} {n}".replace(" ", "-")
            where.mkdir()
            _try(where / "cursors.db", way, n, name, result)
            where.chmod(0o700)
            shutil.rmtree(where)
    return result


def _try(path: Path, way: Callable[[Path], None], before: int, name: str, result: Result) -> None:
    story = Story()
    with ledger.open(path, actor="campaign") as book:
        _append(book, story, 1, 30)  # Closing copies this into the database.
    book = ledger.open(path, actor="campaign", busy_timeout_s=1)
    _append(book, story, 31, 30 + before)
    way(path)
    acknowledged = len(story.acknowledged)
    refusals = _append(book, story, 100, 105)
    after = story.acknowledged[acknowledged:]
    try:
        book.close()
    except LedgerError as error:
        refusals.append(str(error))
    result.times += 1
    path.parent.chmod(0o700)
    if path.exists():
        path.chmod(0o600)
    if way in STAYS.values():
        findings = examine(path, story)
        result.lost += bool(findings.lost)
        if findings.broken:
            result.breaks(f"{name}, {before} before", findings)
        return
    # What was acknowledged before has gone with the file. That is no news, but what came after is.
    there = set()
    if path.exists():
        try:
            with ledger.open(path) as book:
                there = {entry.metadata.get("token", "") for entry in book.entries()}
        except LedgerError as error:
            refusals.append(str(error))
    if missing := [token for token in after if token not in there]:
        result.lost += 1
        result.breaks(f"{name}, {before} before", f"acknowledged and lost: {missing}")


def _append(book: Ledger, story: Story, first: int, last: int) -> list[str]:
    refusals = []
    for n in range(first, last + 1):
        token = f"entry-{n}"
        story.add(f"asked {token}")
        try:
            book.advance(KEY, to=n, metadata={"token": token})
        except LedgerError as error:
            story.add(f"raised {token}")
            refusals.append(str(error))
        else:
            story.add(f"acknowledged {token}")
    return refusals


def removed(path: Path) -> None:
    for each in path.parent.iterdir():
        each.unlink()


def removed_alone(path: Path) -> None:
    path.unlink()


def replaced(path: Path) -> None:
    """Put another ledger in its place, as restoring a backup does."""
    other = path.with_name("other.db")
    with ledger.open(other) as book:
        book.advance(CursorKey("other", "stream"), to=1)
    other.rename(path)
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def folder_replaced(path: Path) -> None:
    aside = path.parent.with_name(path.parent.name + "-aside")
    path.parent.rename(aside)
    path.parent.mkdir()
    shutil.copy(aside / path.name, path)
    shutil.rmtree(aside)


def cut_short(path: Path) -> None:
    os.truncate(path, 0)


def locked_away(path: Path) -> None:
    path.chmod(0)


def read_only(path: Path) -> None:
    path.chmod(0o400)


def folder_locked_away(path: Path) -> None:
    path.parent.chmod(0)


GONE = {
    "removed": removed,
    "database removed": removed_alone,
    "replaced": replaced,
    "folder replaced": folder_replaced,
}
CUT_SHORT = {"cut short": cut_short}
STAYS = {
    "no permission": locked_away,
    "read-only": read_only,
    "folder without permission": folder_locked_away,
}
