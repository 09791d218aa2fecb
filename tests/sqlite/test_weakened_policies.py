"""What can be done about policies, signatures, times and names; and what of all that notices."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

import ledger
from ledger import (
    Checkpoint,
    CursorKey,
    EntryQuery,
    Ledger,
    LedgerError,
    Policy,
    PolicyKind,
    ResetCursor,
    SigningKey,
    TreeHead,
    VerifierKey,
)
from projections import ResetPlan
from support.bundles import NAME
from support.clock import Clock
from support.commands import Run
from support.cursors import JOBS, ORDERS
from support.falsified_files import run as run_sql
from support.ssh_keys import Keys, forge, needs_ssh, planned
from support.tampering_tables import SECTION, table
from support.unjudged import append_unjudged

pytestmark = needs_ssh

COLUMNS = (
    *("`verify`", "with a checkpoint", "with a signed one", "witnessed", "complete", "selected"),
    "`resets`",
)
SIGNED = Policy(PolicyKind.SIGNATURE)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    keys = Keys(tmp_path_factory.mktemp("keys"))
    for name in ("ines", "omar"):
        keys.new(name)
    return keys


@attrs.define
class World:
    """A ledger whose resets are signed, and what others have of it from before the deed."""

    path: Path
    clock: Clock
    keys: Keys
    plan: ResetPlan
    checkpoint: Checkpoint
    note: str
    key: SigningKey
    vkey: VerifierKey
    """The key that others trust: that of `key`, as they were told."""
    run: Run

    def open(self) -> Ledger:
        return ledger.open(self.path, actor="omar", clock=self.clock)

    def now(self) -> str:
        """Sign the ledger as it is now, as an operator does who hides what was signed before."""
        with self.open() as book:
            head = book.checkpoint()
        return self.key.sign(TreeHead(self.key.name, head.entries, head.root).text)

    # --- who looks ---

    def verify(self) -> bool:
        with self.open() as book:
            return book.verify().ok

    def with_checkpoint(self) -> bool:
        with self.open() as book:
            return book.verify(self.checkpoint).ok

    def with_signed(self) -> bool:
        with self.open() as book:
            head = TreeHead.opened(self.note, [self.vkey], origin=NAME)
            return book.verify(head.checkpoint).ok

    def witnessed(self) -> bool:
        """Ask the witness, who has cosigned what was there before, to cosign what is there now."""
        with self.open() as book:
            grown = book.prove_growth(self.note, self.now()).text
        witness = self.path.with_name("witness.key")
        ledger.cosign(str(witness), grown.encode(), [self.vkey], at=self.clock(), origin=NAME)
        return True

    def bundle(self, query: EntryQuery | None = None) -> bool:
        with self.open() as book:
            now = self.now()
            since = self.note if query is not None else None
            lines = list(book.evidence(now, query, since=since))
        ledger.verify_evidence(lines, [self.vkey], origin=NAME, since=self.note)
        return True

    def complete(self) -> bool:
        return self.bundle()

    def selected(self) -> bool:
        return self.bundle(EntryQuery(key=ORDERS))

    def resets(self) -> bool:
        """Return whether the list for an auditor has nothing that catches the eye."""
        allowed = self.keys.trusting("ines", "omar").path
        done = self.run("resets", "--allowed-signers", allowed, "--table", "--wide")
        assert done.exit_code in {0, 5}, done.output
        return not done.exit_code and "DROPPED" not in done.stdout


@pytest.fixture
def world(path: Path, keys: Keys, clock: Clock, run: Run) -> World:
    key = ledger.make_key(path.with_name("key"), NAME)
    ledger.make_witness(path.with_name("witness.key"), "example.net/ines")
    with ledger.open(path, actor="ines", clock=clock) as book:
        for cursor in (ORDERS, JOBS):
            book.advance(cursor, to=44)
            clock.tick()
        book.policies.set(SIGNED, reason="audit")
        plan = keys.sign("ines", planned(book, ORDERS))
        plan.apply(book)
        book.advance(ORDERS, to=45)
        checkpoint, note = book.checkpoint(), book.sign(path.with_name("key"))
    ledger.cosign(str(path.with_name("witness.key")), note.encode(), [key.verifier], at=clock())
    clock.tick(3_600)
    made = World(path, clock, keys, plan, checkpoint, note, key, key.verifier, run)
    assert all(look(made) for look in LOOKS)
    return made


Deed = Callable[[World], object]


def weakened(world: World) -> None:
    with world.open() as book:
        book.policies.drop(SIGNED, reason="the key is lost")
        book.reset(ORDERS, to=1, reason="lost")
        book.policies.set(SIGNED, reason="the key is there")


def by_an_older_version(world: World) -> None:
    with world.open() as book:
        append_unjudged(book, ResetCursor(ORDERS, 1, "lost"))


def removed(world: World) -> None:
    of_policy = "(SELECT id FROM ledger_cursors WHERE consumer_id = 'cursor-ledger/policy')"
    run_sql(
        f"DELETE FROM ledger_events WHERE cursor_id = {of_policy}",
        f"DELETE FROM ledger_cursors WHERE id = {of_policy}",
    )(world.path)


def forged(world: World) -> None:
    with world.open() as book:
        plan = world.keys.sign("ines", planned(book, JOBS))
        forge(book, plan, last_sequence=2)


def replayed(world: World) -> None:
    with world.open() as book:
        forge(book, world.plan)


def moved(world: World) -> None:
    with world.open() as book:
        forge(book, world.plan, key=CursorKey("search", "orders"))


def backdated(world: World) -> None:
    world.clock.now -= timedelta(days=30)
    with world.open() as book:
        book.advance(CursorKey("search", "orders"), to=44)
        [anomaly] = book.verify().anomalies
    assert "before" in str(anomaly)
    world.clock.now += timedelta(days=30)


def with_forged_rows(world: World) -> None:
    with world.open() as book:
        for to in range(100, 360):
            book.advance(JOBS, to=to)
        book.checkpoint()
    run_sql("UPDATE ledger_tree SET root = zeroblob(32)")(world.path)


def for_two_auditors(world: World) -> None:
    """Show the witness one history, and go on with another."""
    other = world.path.with_name("other.db")
    shutil.copy(world.path, other)
    with world.open() as book:
        book.advance(JOBS, to=45)
    assert world.witnessed()
    shutil.copy(other, world.path)
    with world.open() as book:
        book.advance(JOBS, to=46)
        book.advance(JOBS, to=47)


def of_another_origin(world: World) -> None:
    world.key = SigningKey("example.com/other", bytes(range(32)))
    world.note, world.vkey = world.now(), world.key.verifier


def by_another_key(world: World) -> None:
    world.key = SigningKey(NAME, bytes(range(32)))
    world.note = world.now()


LOOKS: tuple[Callable[[World], bool], ...] = (
    *(World.verify, World.with_checkpoint, World.with_signed, World.witnessed),
    *(World.complete, World.selected, World.resets),
)
NOBODY_BUT_RESETS = (False,) * 6 + (True,)
SIGNATURES = (None, None, True, True, True, True, None)

# Each deed, and whether it is caught by each column; None where there is nothing to look at.
MATRIX: dict[str, tuple[Deed, tuple[bool | None, ...]]] = {
    "a policy dropped, and set again behind a reset": (weakened, NOBODY_BUT_RESETS),
    "a reset against a policy, by an older version": (by_an_older_version, NOBODY_BUT_RESETS),
    "a policy removed, with its entries": (
        removed,
        (False, True, True, True, True, True, False),
    ),
    "the signature of another text": (forged, NOBODY_BUT_RESETS),
    "a signed reset made again": (replayed, NOBODY_BUT_RESETS),
    "a signature moved to another cursor": (moved, NOBODY_BUT_RESETS),
    "an entry backdated": (backdated, (False,) * 6 + (None,)),
    # The note, and so the witness and the bundles, believe no row.
    "rows of the kept tree forged": (with_forged_rows, (True,) * 3 + (None,) * 4),
    "two histories for two auditors": (
        for_two_auditors,
        (False, False, False, True, False, False, None),
    ),
    "signed for another origin": (of_another_origin, SIGNATURES),
    "signed by another key": (by_another_key, SIGNATURES),
}


@pytest.mark.parametrize("deed", MATRIX)
def test_what_notices_is_what_the_table_says(world: World, deed: str) -> None:
    do, expected = MATRIX[deed]
    do(world)
    found: list[bool | None] = []
    for look, wanted in zip(LOOKS, expected, strict=True):
        if wanted is None:
            found.append(None)
            continue
        try:
            found.append(not look(world))
        except LedgerError:
            found.append(True)
    assert tuple(found) == expected


def test_a_report_that_was_edited_is_noticed_by_who_has_its_lines_proved(
    world: World, run: Run
) -> None:
    file, proof = world.path.with_name("report.csv"), world.path.with_name("proof")
    assert run("resets", "--report", file).exit_code == 0
    lines = file.read_text().splitlines()
    [edited] = [nth for nth, line in enumerate(lines) if ",lost," in line]
    lines[edited] = lines[edited].replace(",ines,", ",eve,", 1)
    file.write_text("\n".join(lines))
    [row] = [row for row in csv.DictReader(file.read_text().splitlines()) if row["actor"] == "eve"]
    note = world.path.with_name("note")
    note.write_text(world.note)
    proof.write_text(run("proof", row["position"], "--checkpoint", note).stdout)
    shown = run("verify-proof", proof, "--vkey", world.vkey.text, "--json")
    assert shown.exit_code == 0
    assert row["digest"] in shown.stdout
    assert '"actor":"ines"' in shown.stdout


def test_the_document_has_this_table() -> None:
    assert table(COLUMNS, {deed: caught for deed, (_, caught) in MATRIX.items()}) in SECTION
