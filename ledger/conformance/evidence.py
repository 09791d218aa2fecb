"""The rules of the evidence: what a check reads, what a repair stores, what a copy keeps."""

from __future__ import annotations

from operator import itemgetter

import attrs

from ledger.conformance.logs import Log, Logs, Rule, committed, expect
from ledger.conformance.reading import KEYS, ORDERS
from ledger.evidence.repair import Rebuild, rebuild
from ledger.evidence.source import Partible
from ledger.evidence.spans import check_heads, check_span
from ledger.evidence.verification import verify
from ledger.law.requests import AdvanceCursor, RecordError, ResetCursor, StartCursor
from ledger.log import columns
from ledger.log.rows import entry_from
from ledger.stores import Appending, Exclusive
from ledger.writing.copying import copy

__all__ = ["RULES"]

_VERSION = columns.ENTRY.place("version")
_SEQUENCE = columns.STATE.place("last_sequence")


def what_a_check_reads(logs: Logs) -> None:
    log = _lived(logs)
    entries = log.entries()
    with log.store.snapshot() as whole:
        leaves = [(position, digest) for position, digest, _ in whole.leaves()]
        heads, rows = list(whole.heads()), list(whole.rows())
        expect(whole.settled(), entries[-1].position, "the position up to which all is settled")
        expect([str(fault) for fault in whole.structure()], [], "the faults of the tables")
    expect(leaves, [(entry.position, entry.digest) for entry in entries], "the leaves")
    ids = [cursor_id for cursor_id, *_ in heads]
    expect(ids, sorted(set(ids)), "the ids of the stored cursors")
    expected = sorted(map(str, log.expected.heads))
    expect(sorted(map(itemgetter(1), heads)), expected, "the keys of the stored cursors")
    places = [(cursor_id, row[_VERSION]) for cursor_id, *row in rows]
    expect(places, sorted(places), "the ids and versions of the rows")
    read = sorted((entry_from(tuple(row)) for _, *row in rows), key=lambda entry: entry.position)
    expect(read, entries, "the rows")


def a_part(logs: Logs) -> None:
    log = _lived(logs)
    positions = [0, *(entry.position for entry in log.entries())]
    with log.store.snapshot() as whole:
        if not isinstance(whole, Partible):
            return  # It is checked as a whole then.
        for first, after in enumerate(positions):
            for last, until in enumerate(positions[first:], first):
                found, _ = check_span(whole, after, until)
                expect(found, last - first, f"the number of entries from {after} to {until}")
        for parts in (1, 8):
            checked = [check_heads(whole, whole.share(part, parts)) for part in range(parts)]
            expect(sum(checked), len(log.expected.heads), f"the cursors in {parts} parts")


def a_moment(logs: Logs) -> None:
    log = _lived(logs)
    before = log.entries()
    other = logs.again(log)
    with log.store.snapshot() as whole:
        first = len(list(whole.leaves()))
        other.append(AdvanceCursor(ORDERS, 50), AdvanceCursor(KEYS[0], 50))
        checked = verify(whole)
    expect(first, len(before), "the number of leaves")
    expect([str(fault) for fault in checked.faults], [], "what verify finds wrong")
    expect(checked.entries, len(before), "the entries of a snapshot, behind which more is appended")
    log.expect_all()


def stored_anew(logs: Logs) -> None:
    log = _lived(logs)

    def falsify(transaction: Exclusive) -> None:
        with transaction.everything() as whole:
            cursor_id, _, state = next(iter(whole.heads()))
            whole.restore(cursor_id, (*state[:_SEQUENCE], 1_000, *state[_SEQUENCE + 1 :]))

    def mend(transaction: Exclusive) -> Rebuild:
        with transaction.everything() as whole:
            return rebuild(whole)

    log.store.write(falsify)
    with log.store.snapshot() as whole:
        expect(len(verify(whole).faults), 1, "the number of faults after a cursor is falsified")
    expect(len(log.store.write(mend).repaired), 1, "the number of cursors that are repaired")
    log.expect_all()
    log.append(AdvanceCursor(ORDERS, 60), *(AdvanceCursor(key, 60) for key in KEYS))
    log.expect_all()


def same_positions(logs: Logs) -> None:
    source, target = logs.new(), logs.new()
    # Positions have holes where transactions were rolled back.
    positions = [3, 10, 11]
    committed(source.expected, [AdvanceCursor(ORDERS, nth) for nth in (1, 2, 3)], 0)
    drafts, heads = source.expected.drafts, list(source.expected.heads.values())

    def place(transaction: Appending) -> None:
        transaction.hold([ORDERS])
        transaction.append(drafts, heads, positions)

    source.store.write(place)
    expect(
        [entry.position for entry in source.entries()], positions, "the positions that are given"
    )
    source.append(AdvanceCursor(KEYS[0], 1))
    source.expect_all()
    copy(source.store, target.store, write=target.store.write)
    expect(target.entries(), source.entries(), "the copy")
    target.expect_proof()
    source.append(AdvanceCursor(ORDERS, 70), AdvanceCursor(KEYS[0], 70))
    copy(source.store, target.store, write=target.store.write)
    expect(target.entries(), source.entries(), "the copy of what was appended since")
    # The copy goes on behind the positions that were given.
    attrs.evolve(target, expected=source.expected).append(RecordError(ORDERS, "HTTP 503"))
    target.expect_proof()
    expect(target.entries()[:-1], source.entries(), "the copy, without what was appended to it")


def told_apart(logs: Logs) -> None:
    log, stranger = logs.new(), logs.new()
    identity = log.store.identity()
    expect(logs.again(log).store.identity(), identity, "the identity of a log that is opened again")
    if identity:
        expect(stranger.store.identity() == identity, False, "whether two logs have one identity")


def _lived(logs: Logs) -> Log:
    """Return a log that has something of everything."""
    log = logs.new()
    log.append(StartCursor(KEYS[2], 1, "moved here", source="kafka group mailer"))
    for nth in range(1, 4):
        log.append(*(AdvanceCursor(key, nth, metadata={"n": str(nth)}) for key in KEYS), at=nth)
    log.append(RecordError(ORDERS, "HTTP 503"), ResetCursor(KEYS[1], 1, "again"), at=5)
    return log


RULES: tuple[Rule, ...] = (
    Rule("a check reads every entry and every stored cursor, in order", what_a_check_reads),
    Rule("a part of a log, if it can be read alone, is what the whole has there", a_part),
    Rule("a stored cursor can be falsified, found out, and stored anew", stored_anew),
    Rule("a copy has the same entries at the same positions", same_positions),
    Rule("a snapshot stands still while another store appends", a_moment, needs_two=True),
    Rule("a log keeps its identity, which no other log has", told_apart, needs_two=True),
)
