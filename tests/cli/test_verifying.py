"""How many processes the command verifies a log with."""

from __future__ import annotations

import os

import pytest

from ledger import AdvanceCursor, CursorKey, Ledger
from ledger.cli.commands.verifying import PROCESSES_DEFAULT_MAX
from ledger.evidence import crew
from support.commands import Run


@pytest.fixture
def started(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[crew._Worker]:
    """Let a short log be verified by several processes, and note those that are started."""
    book.append([AdvanceCursor(CursorKey(f"consumer-{n}", "orders"), 1) for n in range(9)])
    monkeypatch.setattr("ledger.service.proving.SHARED_ENTRIES_MIN", 1)
    start = crew._started
    started: list[crew._Worker] = []

    def noted(tickets: int) -> crew._Worker:
        started.append(start(tickets))
        return started[-1]

    monkeypatch.setattr(crew, "_started", noted)
    return started


@pytest.mark.parametrize("processors", [1, 3, 64])
def test_each_processor_has_a_process_up_to_a_bound(
    run: Run, started: list[crew._Worker], processors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    verified = run("verify")
    assert verified.exit_code == 0
    assert len(started) == min(processors, PROCESSES_DEFAULT_MAX) - 1


def test_the_number_that_is_asked_for_changes_nothing_that_is_printed(
    run: Run, started: list[crew._Worker]
) -> None:
    alone = run("verify", "--processes", 1)
    assert not started
    together = run("verify", "--processes", 2)
    assert len(started) == 1
    assert (together.exit_code, together.stdout) == (alone.exit_code, alone.stdout)


@pytest.mark.parametrize("number", ["0", "65", "two"])
def test_a_number_that_cannot_be_is_wrong_usage(run: Run, number: str) -> None:
    assert run("verify", "--processes", number).exit_code == 2
