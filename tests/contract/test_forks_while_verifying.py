"""Processes verify a log together while their caller forks children, which keep all pipes open."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ledger import AdvanceCursor, CursorKey, Ledger
from ledger.evidence import crew
from ledger.evidence.chains import CheckedChains

Fork = Callable[[], None]


@pytest.fixture
def fork() -> Iterator[Fork]:
    """Fork this process when called; the child does nothing."""
    children: list[int] = []

    def fork() -> None:
        if child := os.fork():
            children.append(child)
            return
        while True:
            signal.pause()

    yield fork
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.fixture
def together(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Fill the log, and note of each check whether other processes took part in it to its end."""
    book.append([AdvanceCursor(CursorKey(f"consumer-{n}", "orders"), 1) for n in range(20)])
    noted: list[bool] = []
    check_chains = crew.Crew.check_chains

    def check(self: crew.Crew, *arguments: Any) -> CheckedChains | None:
        found = check_chains(self, *arguments)
        noted.append(found is not None)
        return found

    monkeypatch.setattr("ledger.service.proving.SHARED_ENTRIES_MIN", 1)
    monkeypatch.setattr(crew.Crew, "check_chains", check)
    return noted


def test_nobody_waits_for_a_child_that_has_the_ranges(
    book: Ledger, together: list[bool], monkeypatch: pytest.MonkeyPatch, fork: Fork
) -> None:
    share_out = crew.Crew.share_out

    def shared(*arguments: Any) -> None:
        fork()
        share_out(*arguments)

    monkeypatch.setattr(crew.Crew, "share_out", shared)
    assert book.verify(processes=3).ok
    assert together == [True]


def test_that_a_process_was_killed_is_seen_although_a_child_has_its_pipes(
    book: Ledger, together: list[bool], monkeypatch: pytest.MonkeyPatch, fork: Fork
) -> None:
    popen, share_out = subprocess.Popen, crew.Crew.share_out
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        fork()
        started.append(popen(*arguments, **options))
        return started[-1]

    def killed(*arguments: Any) -> None:
        started[0].send_signal(signal.SIGSTOP)  # It has nothing to do yet, and begins nothing.
        share_out(*arguments)
        started[0].kill()
        started[0].wait()

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(crew.Crew, "share_out", killed)
    assert book.verify(processes=2).ok
    assert together == [False]
    assert len(started) == 1
