"""What somebody with the file can do to it, and what notices: the chain, or a kept checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

import ledger
from ledger import Checkpoint, DivergedError, EntryQuery, Ledger, TreeHead, VerifierKey
from support.bundles import NAME
from support.clock import Clock
from support.cursors import JOBS, ORDERS
from support.falsified_files import edited, run
from support.tampering_tables import SECTION, table

COLUMNS = ("`verify`", "with a checkpoint", "with a signed one")


@attrs.frozen
class Kept:
    """What somebody outside has: a checkpoint over the first six entries, and a signed one."""

    path: Path
    checkpoint: Checkpoint
    note: str
    vkey: VerifierKey
    backup: Path
    """All but the last entry, and so from after the checkpoint."""
    older: Path
    """From before the checkpoint."""

    @property
    def key(self) -> Path:
        return self.path.with_name("key")


Deed = Callable[[Kept], object]


@pytest.fixture
def kept(path: Path) -> Kept:
    key = ledger.make_key(path.with_name("key"), NAME)
    backup, older = path.with_name("backup.db"), path.with_name("older.db")
    told(backup, until=8)
    told(older, until=4)
    told(path, until=6)
    with ledger.open(path) as book:
        checkpoint, note = book.checkpoint(), book.sign(path.with_name("key"))
    path.unlink()
    told(path)
    with ledger.open(path) as book:
        assert book.verify([checkpoint, TreeHead.opened(note, [key.verifier]).checkpoint]).ok
        # The key, too, has seen all of it.
        book.sign(path.with_name("key"))
    return Kept(path, checkpoint, note, key.verifier, backup, older)


def told(path: Path, **otherwise: int) -> None:
    with ledger.open(path, clock=(clock := Clock())) as book:
        history_of(book, clock, **otherwise)


def history_of(
    book: Ledger, clock: Clock, *, skip: int = 0, lie: int = 0, extra: int = 0, until: int = 9
) -> None:
    """Append nine entries of two cursors at fixed times; or tell the story otherwise.

    Entry `skip` is left out, entry `lie` has another actor, and another stands before `extra`.
    """
    for nth in range(1, until + 1):
        clock.tick()
        if nth == extra:
            book.record_error(JOBS, "HTTP 503", actor="ines")
        if nth != skip:
            key = JOBS if nth in {3, 6, 9} else ORDERS
            book.advance(key, to=nth, actor="nobody" if nth == lie else "ines")


def anew(**otherwise: int) -> Deed:
    """Write the whole file anew, with a story that the law allows: every digest fits."""

    def deed(kept: Kept) -> None:
        kept.path.unlink()
        told(kept.path, **otherwise)

    return deed


def sql(*statements: str) -> Deed:
    return lambda kept: run(*statements)(kept.path)


def reordered(first: int, second: int) -> Deed:
    return sql(
        f"UPDATE ledger_events SET position = 100 WHERE position = {first}",
        f"UPDATE ledger_events SET position = {first} WHERE position = {second}",
        f"UPDATE ledger_events SET position = {second} WHERE position = 100",
    )


def restored(kept: Kept) -> None:
    shutil.copy(kept.older, kept.path)


def continued(*, older: bool) -> Deed:
    """Restore a backup, and go on with it until it has as many entries."""

    def deed(kept: Kept) -> None:
        shutil.copy(kept.older if older else kept.backup, kept.path)
        with ledger.open(kept.path) as book:
            for to in range(60, 65 if older else 61):
                book.advance(ORDERS, to=to, actor="ines")

    return deed


OF_MAILER = "(SELECT id FROM ledger_cursors WHERE consumer_id = 'mailer')"
DROPPED = (
    f"DELETE FROM ledger_events WHERE cursor_id = {OF_MAILER}",
    f"DELETE FROM ledger_cursors WHERE id = {OF_MAILER}",
)
RENUMBERED = tuple(
    f"UPDATE ledger_events SET position = position * 10 WHERE position = {n}"
    for n in range(9, 0, -1)
)
INSERTED = (
    "INSERT INTO ledger_events SELECT 10, cursor_id, version + 1, epoch, recorded_at, actor,"
    " metadata, tag_id, sequence, sequence + 1, delivery_id, delivered_at, outcome, reason,"
    " message, occurred_at, digest FROM ledger_events WHERE position = 9"
)

# Each deed, and whether it is caught by each column.
MATRIX: dict[str, tuple[Deed, tuple[bool, bool, bool]]] = {
    "an entry edited": (lambda kept: edited("actor = 'x'")(kept.path), (True, True, True)),
    "an entry deleted": (
        sql("DELETE FROM ledger_events WHERE position = 2"),
        (True, True, True),
    ),
    "an entry inserted": (sql(INSERTED), (True, True, True)),
    "entries of one cursor reordered": (reordered(4, 5), (True, True, True)),
    "entries of two cursors reordered": (reordered(3, 4), (False, True, True)),
    "a cursor dropped, with its entries": (sql(*DROPPED), (False, True, True)),
    "an entry edited, digests and heads rewritten": (anew(lie=2), (False, True, True)),
    "an entry deleted, digests and heads rewritten": (anew(skip=2), (False, True, True)),
    "an entry inserted, digests and heads rewritten": (anew(extra=2), (False, True, True)),
    "the tail cut, before the checkpoint": (anew(until=5), (False, True, True)),
    "the tail cut, behind the checkpoint": (anew(until=7), (False, False, False)),
    "an entry behind the checkpoint rewritten": (anew(lie=8), (False, False, False)),
    "an old backup restored": (restored, (False, True, True)),
    "an old backup continued": (continued(older=True), (False, True, True)),
    "a backup continued that the checkpoint covers": (
        continued(older=False),
        (False, False, False),
    ),
    # The root is over the order of entries. Only the JSON checkpoint says a position.
    "positions renumbered, in the same order": (sql(*RENUMBERED), (False, True, False)),
}


@pytest.mark.parametrize("deed", MATRIX)
def test_what_notices_is_what_the_table_says(kept: Kept, deed: str) -> None:
    do, caught = MATRIX[deed]
    do(kept)
    signed = TreeHead.opened(kept.note, [kept.vkey]).checkpoint
    with ledger.open(kept.path) as book:
        found = (book.verify(), book.verify(kept.checkpoint), book.verify(signed))
        assert tuple(not each.ok for each in found) == caught, [each.faults for each in found]


@pytest.mark.parametrize("deed", [deed for deed in MATRIX if "positions renumbered" not in deed])
def test_a_key_that_has_signed_all_of_it_signs_no_other_history(kept: Kept, deed: str) -> None:
    with ledger.open(kept.path) as book:
        before = [entry.digest for entry in book.entries()]
    MATRIX[deed][0](kept)
    with ledger.open(kept.path) as book:
        if deed in {"an entry edited", "an entry inserted"}:
            # The digests are as they were. That the entries are, only `verify` looks at.
            assert book.sign(kept.key)
        else:
            assert before
            with pytest.raises(DivergedError):
                book.sign(kept.key)


def test_everything_rewritten_and_signed_again_is_noticed_by_who_kept_a_note(kept: Kept) -> None:
    anew(lie=1)(kept)
    seed = kept.key.read_text()
    with ledger.open(kept.path) as book:
        with pytest.raises(DivergedError):
            book.sign(kept.key)
        # The operator takes the key, and signs without what it has signed last.
        head = book.checkpoint()
        again = ledger.SigningKey.parse(seed).sign(TreeHead(NAME, head.entries, head.root).text)
        assert book.verify(TreeHead.opened(again, [kept.vkey]).checkpoint).ok
        assert not book.verify(TreeHead.opened(kept.note, [kept.vkey]).checkpoint).ok
        bundle = list(book.evidence(again))
        chosen = list(book.evidence(again, EntryQuery(key=ORDERS)))
        with pytest.raises(ledger.UnprovenError, match="of this ledger do not have the root"):
            book.prove_growth(kept.note, again)
        with pytest.raises(ledger.UnprovenError, match="of this ledger do not have the root"):
            list(book.evidence(again, EntryQuery(key=ORDERS), since=kept.note))
    for lines in (bundle, chosen):
        ledger.verify_evidence(lines, [kept.vkey])
        with pytest.raises(ledger.UnprovenError):
            ledger.verify_evidence(lines, [kept.vkey], since=kept.note)


def test_the_document_has_this_table() -> None:
    assert table(COLUMNS, {deed: caught for deed, (_, caught) in MATRIX.items()}) in SECTION
