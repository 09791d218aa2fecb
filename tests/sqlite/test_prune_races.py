"""Somebody appends while entries are being removed, or two remove them at once."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

import ledger
from ledger import LedgerBusyError
from ledger.exchange.pruning import Pruning
from support.cursors import JOBS
from support.pruned import build


@pytest.fixture
def archived(tmp_path: Path, path: Path) -> ledger.VerifierKey:
    notes = build(tmp_path, path)
    key = ledger.SigningKey.parse((tmp_path / "key").read_text()).verifier
    with ledger.open(path) as book:
        book.archive(notes[2], tmp_path / "a.jsonl", [key])
    return key


def test_what_is_appended_meanwhile_is_not_lost(
    tmp_path: Path, path: Path, archived: ledger.VerifierKey
) -> None:
    appended = []

    def append(said: str) -> None:
        # The new file is ready by then, and the old one is not held yet.
        if said == "giving back the room":
            with ledger.open(path, actor="tester") as book:
                appended.append(book.advance(JOBS, to=90))

    wanted = Pruning(
        file=str(tmp_path / "a.jsonl"),
        path=str(path),
        keys=(archived,),
        origin=None,
        busy_timeout_s=1.0,
        progress=append,
    )
    with pytest.raises(LedgerBusyError, match="somebody has appended"):
        wanted.executed(reason="a year is over", actor="ines")
    with ledger.open(path) as book:
        assert book.get(JOBS) == appended[0]
        found = book.verify()
        assert (found.ok, found.archived) == (True, 0)
    assert not list(tmp_path.glob(".cursor-ledger-*"))
    # One who is second finds that it is done.
    again = attrs.evolve(wanted, progress=lambda _: None)
    assert not again.executed(reason="a year is over", actor="ines").cut.is_done
    assert again.executed(reason="a year is over", actor="otto").cut.is_done
    with ledger.open(path) as book:
        assert book.get(JOBS) == appended[0]
        assert book.verify().ok


def test_two_who_remove_at_once_remove_it_once(
    tmp_path: Path, path: Path, archived: ledger.VerifierKey
) -> None:
    def other(said: str) -> None:
        if said == "giving back the room":
            attrs.evolve(wanted, progress=lambda _: None).executed(reason="first", actor="otto")

    wanted = Pruning(
        file=str(tmp_path / "a.jsonl"),
        path=str(path),
        keys=(archived,),
        origin=None,
        busy_timeout_s=1.0,
        progress=other,
    )
    with pytest.raises(LedgerBusyError, match="somebody has appended"):
        wanted.executed(reason="second", actor="ines")
    with ledger.open(path) as book:
        found = book.verify()
        assert found.ok, found.faults
        [entry] = book.entries(ledger.EntryQuery(consumer_id="cursor-ledger/archive"))
        assert entry.actor == "otto"
