"""Cursors of a pruned ledger are reset as before, and policies are neither lost nor in the way."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import ledger
from ledger import ArchivedError, CursorKey, InvalidCursorError, Policy, PolicyKind
from ledger.exchange import retention
from projections.cli import main
from projections.resets import identity
from projections.resets.identity import LedgerMark
from support.cursors import JOBS, ORDERS
from support.pruned import IDLE, TwoLedgers, build, prune, two_ledgers

TICKET = Policy(PolicyKind.META, "ticket")


def command(path: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--db", str(path), "--actor", "ines", *words])


@pytest.fixture
def two(tmp_path: Path) -> TwoLedgers:
    return two_ledgers(tmp_path, 2)


def test_a_ledger_and_its_cursors_are_known_by_what_stays(two: TwoLedgers) -> None:
    with ledger.open(two.pruned) as pruned, ledger.open(two.twin) as twin:
        assert LedgerMark.of(pruned) == LedgerMark.of(twin)
        assert LedgerMark.of(pruned).position == 1
        for key in (ORDERS, JOBS, IDLE):
            version = twin.get(key).version
            assert identity.head(pruned, key, version) == identity.head(twin, key, version)
        assert identity.head(pruned, IDLE, 1) is not None
        # What comes before the last one is in the archive.
        with pytest.raises(ArchivedError):
            identity.head(pruned, ORDERS, 1)


@pytest.mark.parametrize("key", [ORDERS, JOBS, IDLE], ids=str)
def test_a_reset_is_planned_and_executed_as_on_the_twin(two: TwoLedgers, key: CursorKey) -> None:
    for path in (two.pruned, two.twin):
        words = ("reset", str(key), "--to", "2", "--reason", "lost 3", "--json")
        planned = command(path, *words)
        assert planned.exit_code == 0, planned.output
        done = command(path, *words, "--execute", "--yes")
        assert done.exit_code == 0, done.output
        with ledger.open(path) as book:
            assert book.get(key).last_sequence == 2
            found = book.verify()
            assert found.ok, found.faults


def test_a_plan_from_before_is_executed_behind_the_cut(tmp_path: Path, path: Path) -> None:
    notes = build(tmp_path, path)
    words = ("reset", str(IDLE), "--to", "7", "--reason", "lost 8", "--export", str(tmp_path / "p"))
    planned = command(path, *words)
    assert planned.exit_code == 0, planned.output
    key = ledger.SigningKey.parse((tmp_path / "key").read_text()).verifier
    with ledger.open(path) as book:
        book.archive(notes[2], tmp_path / "a.jsonl", [key])
    prune(path, tmp_path / "a.jsonl", key)
    done = command(path, "reset", "--from-file", str(tmp_path / "p"), "--execute", "--yes")
    assert done.exit_code == 0, done.output
    with ledger.open(path) as book:
        assert book.get(IDLE).last_sequence == 7


def test_a_policy_asks_nothing_of_the_rules_of_the_ledger(tmp_path: Path, path: Path) -> None:
    notes = build(tmp_path, path)
    key = ledger.SigningKey.parse((tmp_path / "key").read_text()).verifier
    with ledger.open(path, actor="ines") as book:
        book.archive(notes[2], tmp_path / "a.jsonl", [key])
        for policy in (TICKET, Policy(PolicyKind.SIGNATURE)):
            book.policies.set(policy, reason="audit")
        retention.keep(book, timedelta(days=2), reason="a rule")
        retention.hold(book, "case 7", reason="a lawsuit")
        retention.release(book, "case 7", reason="settled")
    assert prune(path, tmp_path / "a.jsonl", key).cut.position == 13
    with ledger.open(path, actor="ines") as book:
        assert {change.policy for change in book.policies.in_force()} == {
            TICKET,
            Policy(PolicyKind.SIGNATURE),
        }
        with pytest.raises(ledger.PolicyUnmetError):
            book.reset(IDLE, to=7, reason="lost 8")


@pytest.mark.parametrize("dropped", [False, True])
def test_what_says_which_policies_were_in_force_is_not_removed(
    tmp_path: Path, path: Path, *, dropped: bool
) -> None:
    build(tmp_path, path)
    key = ledger.SigningKey.parse((tmp_path / "key").read_text()).verifier
    with ledger.open(path, actor="ines") as book:
        at = book.policies.set(TICKET, reason="audit").position
        if dropped:
            book.policies.drop(TICKET, reason="the tracker is down")
        book.archive(book.sign(tmp_path / "key"), tmp_path / "a.jsonl", [key])
    before = path.read_bytes()
    with pytest.raises(InvalidCursorError, match=f"position {at} sets or drops a policy"):
        prune(path, tmp_path / "a.jsonl", key)
    assert path.read_bytes() == before


def test_a_takeover_right_behind_the_cut_is_no_reset_against_a_policy(two: TwoLedgers) -> None:
    with ledger.open(two.pruned, actor="ines") as book:
        book.policies.set(TICKET, reason="audit")
        with book.consumer(IDLE, take_over="deploy 1.4.2"):
            pass
    for words in (["--takeovers"], ["--takeovers", "--against-policy"]):
        found = command(two.pruned, "resets", "--since", "2026-05-05T17:00:00Z", *words)
        assert found.exit_code == 0, found.output
