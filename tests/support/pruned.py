"""A ledger that was pruned, and its twin that was not: the archive and what is left together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import attrs

import ledger
from ledger import CursorKey, Ledger, VerifierKey
from ledger.exchange import retention
from ledger.exchange.entry_lines import entries_of
from ledger.exchange.exporting import json_line
from ledger.exchange.pruning import Pruned, Pruning
from ledger.service import imported
from support.clock import Clock
from support.cursors import JOBS, ORDERS, fill

__all__ = ["IDLE", "ONLY_ERRORS", "TwoLedgers", "build", "prune", "two_ledgers"]

NAME = "example.com/cursors"
IDLE, ONLY_ERRORS = CursorKey("idle", "orders"), CursorKey("failing", "orders")


@attrs.frozen(kw_only=True)
class TwoLedgers:
    """The same entries at the same positions: some of the one are only in its archive."""

    pruned: Path
    twin: Path
    archive: Path
    key: VerifierKey
    done: Pruned
    notes: list[str]

    @property
    def position(self) -> int:
        """The last position that was archived."""
        return self.done.cut.position


def build(folder: Path, path: Path) -> list[str]:
    """Make a ledger with something of everything; return a note after each part of it."""
    clock = Clock()
    notes: list[str] = []
    ledger.make_key(folder / "key", NAME)
    with ledger.open(path, actor="tester", clock=clock) as book:

        def then(*work: Callable[[Ledger], object]) -> None:
            for each in work:
                clock.tick(60)
                each(book)
            notes.append(book.sign(folder / "key"))

        then(lambda book: retention.keep(book, timedelta(days=1), reason="a rule"))
        then(lambda _: fill(book, clock))
        then(
            lambda book: book.start(CursorKey("began", "orders"), at=7, reason="x", source="kafka"),
            lambda book: book.advance(IDLE, to=41, delivery_id="msg-41"),
            lambda book: book.record_error(ONLY_ERRORS, "HTTP 503"),
            lambda book: book.heads.record("orders", "", 50),
            lambda book: book.heads.record("orders", "customer-7", 9),
        )
        then(
            lambda book: book.advance(ORDERS, to=40),
            lambda book: book.record_error(JOBS, "HTTP 500"),
            lambda book: book.reset(ORDERS, to=30, reason="again", metadata={"ticket": "7"}),
            lambda book: book.consumer(ORDERS, take_over="deploy 2").refresh(),
        )
        then(
            lambda book: book.advance(ORDERS, to=44),
            lambda book: book.record_error(ONLY_ERRORS, "HTTP 504"),
            lambda book: book.heads.record("orders", "", 60),
            lambda book: book.advance(CursorKey("new", "clicks", "0"), to=3),
        )
    return notes


def prune(path: Path, archive: Path, key: VerifierKey, *, busy_timeout_s: float = 1.0) -> Pruned:
    return Pruning(
        file=str(archive),
        path=str(path),
        keys=(key,),
        origin=None,
        busy_timeout_s=busy_timeout_s,
        progress=lambda _: None,
    ).executed(reason="a year is over", actor="ines")


def two_ledgers(folder: Path, nth: int, first: int | None = None) -> TwoLedgers:
    """Prune what the note number `nth` of five covers; before, what the note `first` does."""
    pruned, twin, archive = (folder / name for name in ("pruned.db", "twin.db", "a.jsonl"))
    notes = build(folder, pruned)
    key = ledger.VerifierKey.parse(_public(folder))
    older = None
    if first is not None:
        older = folder / "first.jsonl"
        with ledger.open(pruned) as book:
            book.archive(notes[first], older, [key])
        prune(pruned, older, key)
    with ledger.open(pruned) as book:
        book.archive(notes[nth], archive, [key], after=older)
    done = prune(pruned, archive, key)
    position = done.cut.position
    with ledger.open(pruned) as book:
        left = book.entries(ledger.EntryQuery(position_from=position + 1))
        (folder / "left.jsonl").write_text("".join(map(json_line, left)))
    with ledger.open(twin) as book, archive.open("rb") as file:
        proved = ledger.verify_evidence(file, [key])
        imported(book, ((each.index + 2, each.entry) for each in proved.entries()))
        with (folder / "left.jsonl").open("rb") as lines:
            imported(book, entries_of(lines))
    return TwoLedgers(pruned=pruned, twin=twin, archive=archive, key=key, done=done, notes=notes)


def _public(folder: Path) -> str:
    return ledger.SigningKey.parse((folder / "key").read_text()).verifier.text
