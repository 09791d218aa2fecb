"""A ledger that is copied to another database, either way, and proves to be the same."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner

import ledger
from ledger import (
    AdvanceCursor,
    BrokenChainError,
    CursorKey,
    DivergedError,
    InvalidCursorError,
    Ledger,
    RecordError,
    ResetCursor,
)
from ledger.service import imported
from projections.cli import main
from support.clock import Clock
from support.cursors import JOBS, ORDERS


@pytest.fixture
def file(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    """A ledger in a file, with every kind of entry in it."""
    with ledger.open(tmp_path / "source.db", actor="tester", clock=clock) as book:
        for n in range(1, 1_301):
            key = CursorKey(f"c{n % 7}", "orders", "émile" if n % 2 else "")
            book.append(
                [AdvanceCursor(key, n, delivery_id=f"m-{n}", metadata={"n": str(n)})]
            ) if n % 100 == 0 else None
            clock.tick(0.5)
        book.append([AdvanceCursor(ORDERS, n) for n in range(1, 2_300)])
        book.append([ResetCursor(ORDERS, 7, "because"), RecordError(JOBS, "boom")])
        yield book


@pytest.fixture
def other(target: str) -> Iterator[Ledger]:
    with ledger.open(target, actor="somebody else", busy_timeout_s=1) as book:
        yield book


def test_a_copy_is_the_same_and_so_is_the_copy_of_the_copy(
    file: Ledger, other: Ledger, tmp_path: Path
) -> None:
    done: list[int] = []
    copied = file.copy_to(other, progress=done.append)
    assert copied.entries == len(list(file.entries())) == done[-1]
    assert list(other.entries()) == list(file.entries())
    assert list(other.cursors()) == list(file.cursors())
    assert other.checkpoint() == file.checkpoint() == copied.checkpoint
    assert other.verify(file.checkpoint()).ok
    with ledger.open(tmp_path / "back.db") as back:
        assert other.copy_to(back).checkpoint == copied.checkpoint
        assert list(back.entries()) == list(file.entries())
    # Life goes on in the copy.
    assert other.advance(ORDERS, to=8).epoch == 1
    assert other.verify().ok


def test_a_copy_goes_on_where_it_was_and_copies_nothing_twice(file: Ledger, other: Ledger) -> None:
    class StopError(Exception):
        pass

    def stop(_: int) -> None:
        raise StopError

    with pytest.raises(StopError):
        file.copy_to(other, progress=stop)
    assert len(list(other.entries())) == 1_000
    whole = len(list(file.entries()))
    assert file.copy_to(other).entries == whole - 1_000
    assert file.copy_to(other).entries == 0
    file.advance(JOBS, to=9)
    assert file.copy_to(other).entries == 1
    assert other.verify().ok


def test_a_target_that_has_diverged_is_refused_and_left(file: Ledger, other: Ledger) -> None:
    file.copy_to(other)
    other.advance(JOBS, to=5)
    before = other.checkpoint()
    with pytest.raises(DivergedError, match="not the first"):
        file.copy_to(other)
    assert other.checkpoint() == before


def test_one_who_writes_to_the_target_meanwhile_is_noticed(file: Ledger, other: Ledger) -> None:
    def meddle(_: int) -> None:
        other.advance(JOBS, to=5)

    with pytest.raises(DivergedError, match="in the meantime"):
        file.copy_to(other, progress=meddle)
    assert other.verify().ok


def test_an_entry_that_was_edited_is_not_copied(
    file: Ledger, other: Ledger, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "source.db", isolation_level=None)) as raw:
        raw.execute("DROP TRIGGER ledger_events_refuse_update")
        raw.execute("UPDATE ledger_events SET actor = 'nobody' WHERE position = 1500")
    with pytest.raises(BrokenChainError, match="position 1500"):
        file.copy_to(other)
    assert len(list(other.entries())) == 1_000


def test_what_is_no_ledger_is_refused(file: Ledger) -> None:
    with pytest.raises(InvalidCursorError, match="target must be a Ledger"):
        file.copy_to("copy.db")  # type: ignore[arg-type]


def test_the_command_copies_and_says_what_both_have(
    file: Ledger, target: str, tmp_path: Path
) -> None:
    source = str(tmp_path / "source.db")
    done = CliRunner().invoke(main, ["copy", source, target])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "entries": 2_314,
        "position": 2_314,
        "root": file.checkpoint().root.hex(),
        "first": next(file.entries()).digest.hex(),
        "taken_at": None,
        "origin": None,
    }
    assert "2,314 entries copied; both ledgers now have 2,314" in done.stderr
    back = CliRunner().invoke(main, ["copy", target, str(tmp_path / "back.db")])
    assert json.loads(back.stdout) == json.loads(done.stdout)
    file.advance(JOBS, to=1)
    with ledger.open(target, actor="x") as other:
        other.advance(JOBS, to=2)
    refused = CliRunner().invoke(main, ["copy", source, target])
    assert refused.exit_code == 3
    assert "it is another ledger, or" in refused.stderr
    assert "Copy to an empty target" in refused.stderr
    missing = CliRunner().invoke(main, ["copy", str(tmp_path / "absent.db"), target])
    assert missing.exit_code == 1


COPY = "from projections.cli import main; main()"


@pytest.mark.slow("it waits for moments at which to kill the copy")
def test_a_copy_that_is_killed_again_and_again_ends_the_same(
    file: Ledger, target: str, tmp_path: Path
) -> None:
    file.append([AdvanceCursor(ORDERS, n) for n in range(8, 8_000)])
    command = [sys.executable, "-c", COPY, "copy", str(tmp_path / "source.db"), target]
    code = -1
    for rounds in range(20):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as copying:
            # Longer and longer, so that it ends on a machine that is busy, too.
            time.sleep(0.4 * 1.2**rounds)
            if copying.poll() is None:
                os.kill(copying.pid, signal.SIGKILL)
            copying.wait()
        code = copying.returncode
        if code == 0:
            break
        assert rounds < 19
    assert code == 0
    with ledger.open(target) as other:
        assert other.checkpoint() == file.checkpoint()
        assert other.verify().ok


@pytest.mark.parametrize("position", [2**62 + 1, 2**63 - 1])
def test_a_position_behind_which_nothing_fits_is_refused(
    file: Ledger, other: Ledger, position: int
) -> None:
    entries = list(islice(file.entries(), 3))
    edited = [*entries[:2], attrs.evolve(entries[2], position=position)]
    with pytest.raises(DivergedError, match=r"^line 3 .* leaves no room for what is appended"):
        imported(other, enumerate(edited, 1))
    assert list(other.entries()) == entries[:2]
    # As far as a position may be, the next one is behind it.
    edited[2] = attrs.evolve(entries[2], position=2**62)
    imported(other, enumerate(edited, 1))
    other.advance(JOBS, to=1)
    *_, last = other.entries()
    assert (last.key, last.position) == (JOBS, 2**62 + 1)
    assert other.verify().ok
