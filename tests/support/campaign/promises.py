"""What the ledger promised a workload, and whether a folder keeps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import attrs

import ledger
from ledger import CursorKey, Ledger, LedgerError

__all__ = ["Findings", "Story", "examine"]


@attrs.define
class Story:
    """What a workload had been told by some moment; by the tokens of what it asked for."""

    asked: list[tuple[str, ...]] = attrs.field(factory=list)
    acknowledged: list[str] = attrs.field(factory=list)
    raised: set[str] = attrs.field(factory=set)

    @classmethod
    def of(cls, marks: Iterable[str]) -> Story:
        story = cls()
        for mark in marks:
            story.add(mark)
        return story

    def add(self, mark: str) -> None:
        said, *tokens = mark.split(" ")
        match said:
            case "asked":
                self.asked.append(tuple(tokens))
            case "acknowledged":
                self.acknowledged += tokens
            case "raised":
                self.raised.update(tokens)
            case _:
                assert said == "unknown", mark


@attrs.frozen
class Findings:
    """What was acknowledged and is not there; and every other promise that is broken."""

    lost: list[str]
    faults: list[str]

    def __str__(self) -> str:
        lost = [f"acknowledged and lost: {', '.join(self.lost[:5])}"] if self.lost else []
        return "; ".join(lost + self.faults)

    @property
    def broken(self) -> bool:
        return bool(self.lost or self.faults)


def examine(database: str | Path, story: Story, *, in_order: bool = False) -> Findings:
    """Open what is there, hold it against what was told, and go on with it.

    With `in_order`, only the last of what was acknowledged may be lost.
    """
    try:
        with ledger.open(database, actor="examiner", durability="normal") as book:
            there = [(e.position, e.metadata.get("token", "")) for e in book.entries()]
            tokens = [token for _, token in there]
            lost, faults = _against(story, tokens, in_order=in_order)
            faults += _whole(book)
            last = _go_on(book)
        with ledger.open(database, durability="normal") as book:
            if len(list(book.entries())) != last:
                faults.append("what was appended afterwards is not there")
            faults += _whole(book)
    except LedgerError as error:
        return Findings([], [f"{type(error).__name__}: {error}"])
    return Findings(lost, faults)


def _against(story: Story, tokens: list[str], *, in_order: bool) -> tuple[list[str], list[str]]:
    there = Counter(tokens)
    faults = [f"{token} is there {count} times" for token, count in there.items() if count > 1]
    lost = [token for token in story.acknowledged if token not in there]
    if back := [token for token in tokens if token in story.raised]:
        faults.append(f"raised, and there all the same: {', '.join(back[:5])}")
    known = {token for group in story.asked for token in group}
    if strange := [token for token in tokens if token not in known]:
        faults.append(f"there, and never asked for: {', '.join(strange[:5])}")
    faults += [
        f"half of an append is there: {group[0]}"
        for group in story.asked
        if len({token in there for token in group}) > 1
    ]
    kept = [token for token in story.acknowledged if token in there]
    if in_order and kept != story.acknowledged[: len(kept)]:
        faults.append("a later entry is there, and an earlier one is not")
    return lost, faults


def _whole(book: Ledger) -> Iterator[str]:
    """Tell what is wrong with the log as such."""
    verification = book.verify()
    yield from (str(fault) for fault in verification.faults[:5])
    entries = list(book.entries())
    if [entry.position for entry in entries] != list(range(1, len(entries) + 1)):
        yield "positions have holes"
    by_key = sorted(entries, key=lambda e: (str(e.key), e.position))
    for key, of_key in groupby(by_key, key=lambda e: e.key):
        versions = [entry.version for entry in of_key]
        if versions != list(range(1, len(versions) + 1)):
            yield f"versions of {key} have holes"
        if book.get(key).version != len(versions):
            yield f"the stored cursor of {key} is not at its last entry"


def _go_on(book: Ledger) -> int:
    """Append to every cursor and to a new one; give how many entries there are then."""
    for cursor in list(book.cursors()):
        book.advance(cursor.key, to=cursor.last_sequence + 1)
    book.advance(CursorKey("examiner", "stream"), to=1)
    return len(list(book.entries()))
