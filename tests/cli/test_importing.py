"""What was exported continues a ledger: the same digests, or a refusal that names the line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import ledger
from ledger import AdvanceCursor, CursorKey, Ledger, RecordError, ResetCursor
from ledger.exchange.exporting import json_line
from ledger.writing import copying
from projections.cli import main
from support.clock import Clock
from support.commands import COMMAND, Run
from support.cursors import JOBS, ORDERS, fill
from support.histories import KEYS, requests

STORES = "every"


@pytest.fixture
def source(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    """Return a ledger in another file, with every kind of entry in it."""
    with ledger.open(tmp_path / "source.db", actor="tester", clock=clock) as source:
        fill(source, clock)
        source.start(CursorKey("began", "orders"), at=41, reason="moved", source="kafka")
        source.heads.record("orders", "", 44)
        source.positions.declare("jobs", "zero-based")
        source.advance(CursorKey('=x"\u202e', "o/ü", "x\x7f"), to=2**63 - 1)
        yield source


def lines_of(book: Ledger) -> list[str]:
    return [json_line(entry) for entry in book.entries()]


@pytest.fixture
def lines(source: Ledger) -> list[str]:
    return lines_of(source)


def changed(line: str, **values: object) -> str:
    return json.dumps({**json.loads(line), **values}, ensure_ascii=False) + "\n"


def changed_event(line: str, **values: object) -> str:
    return changed(line, event={**json.loads(line)["event"], **values})


def same(book: Ledger, source: Ledger, entries: int | None = None) -> None:
    """Find the beginning of `source` in `book`, entry by entry."""
    expected = list(source.entries())[:entries]
    assert list(book.entries()) == expected
    assert book.checkpoint().entries == len(expected)
    found = book.verify()
    assert found.ok, found.faults
    if entries is None:
        assert list(book.cursors()) == list(source.cursors())
        assert book.checkpoint() == source.checkpoint()


# --- what continues it ---


def test_a_log_goes_round_and_comes_back_the_same(
    book: Ledger, source: Ledger, run: Run, tmp_path: Path
) -> None:
    kept, file = tmp_path / "kept.json", tmp_path / "log.jsonl"
    there = str(tmp_path / "source.db")
    assert run("--db", there, "export", "-o", file, "--checkpoint", kept).exit_code == 0
    done = run("import", file, "--checkpoint", kept)
    count = len(list(source.entries()))
    assert (done.exit_code, done.stderr) == (
        0,
        f"{count} entries imported; the ledger now has {count} entries\n",
    )
    assert json.loads(done.stdout)["root"] == source.checkpoint().root.hex()
    same(book, source)
    # Out of whatever store, the same bytes come, and into another; and life goes on.
    again = run("export").stdout_bytes
    assert again == file.read_bytes()
    assert run("--db", tmp_path / "third.db", "import", "-", text=again).exit_code == 0
    with ledger.open(tmp_path / "third.db") as third:
        same(third, source)
    assert book.advance(JOBS, to=8).version == 3
    assert book.verify().ok


def test_what_is_there_is_compared_and_what_is_new_is_appended(
    book: Ledger, source: Ledger, run: Run, lines: list[str]
) -> None:
    assert run("import", "-", text="".join(lines[:4])).exit_code == 0
    again = run("import", "-", text="".join(lines[:6]))
    assert again.stderr == ("2 entries imported, 4 there already; the ledger now has 6 entries\n")
    # Only what came since, as export --from-position writes it.
    assert run("import", "-", text="".join(lines[6:])).exit_code == 0
    same(book, source)
    whole = run("import", "-", text="".join(lines))
    assert (whole.exit_code, whole.stderr.split(";")[0]) == (
        0,
        f"0 entries imported, {len(lines)} there already",
    )
    older = run("import", "-", text="".join(lines[:3]))
    assert older.exit_code == 0
    same(book, source)


def test_positions_and_holes_of_the_source_stay(
    book: Ledger, source: Ledger, run: Run, lines: list[str]
) -> None:
    # Whole cursors that are left out look like the holes that PostgreSQL makes.
    chosen = [line for line in lines if '"mailer"' in line]
    done = run("import", "-", text="".join(chosen))
    assert done.exit_code == 0, done.stderr
    assert "of the positions up to 6 have no entry" in done.stderr
    assert [entry.position for entry in book.entries()] == [5, 6]
    assert book.verify().ok
    assert list(book.history(JOBS)) == list(source.history(JOBS))


def test_names_of_the_source_and_marks_of_systems_are_no_part_of_an_entry(
    book: Ledger, source: Ledger, run: Run, tmp_path: Path
) -> None:
    shown = run("--db", str(tmp_path / "source.db"), "entries", "--jsonl").stdout
    assert '"at_source"' in shown
    text = b"\xef\xbb\xbf\r\n" + shown.replace("\n", "\r\n\n").encode()
    assert run("import", "-", text=text.rstrip()).exit_code == 0
    same(book, source)


@given(asked=st.lists(requests(KEYS), max_size=12), cut=st.integers(0, 12), batch=st.integers(1, 4))
def test_any_history_in_two_parts_is_the_same(asked: list[Any], cut: int, batch: int) -> None:
    before = copying.BATCH_ENTRIES
    with ledger.open(":memory:", actor="x") as source, ledger.open(":memory:") as book:
        source.append_each(asked)
        entries = list(enumerate(source.entries(), 1))
        try:
            copying.BATCH_ENTRIES = batch
            from ledger.service import imported

            imported(book, iter(entries[:cut]))
            done = imported(book, iter(entries), entries=len(entries))
        finally:
            copying.BATCH_ENTRIES = before
        assert (done.there, done.appended) == (len(entries[:cut]), len(entries[cut:]))
        assert done.now == done.then == source.checkpoint() == book.checkpoint()
        assert list(book.cursors()) == list(source.cursors())
        assert book.verify().ok


# --- what does not ---


def refused(run: Run, text: str, code: int = 3) -> str:
    done = run("import", "-", text=text.encode("utf-8", "surrogatepass"))
    assert (done.exit_code, done.stdout) == (code, ""), done.output
    return done.stderr


def test_an_edited_line_is_refused_and_what_comes_before_it_stays(
    book: Ledger, source: Ledger, run: Run, lines: list[str]
) -> None:
    # Every field that a digest covers, and the digest itself.
    edited = {
        "actor": changed(lines[3], actor="nobody"),
        "metadata": changed(lines[3], metadata={"n": "2"}),
        "recorded_at": changed(lines[3], recorded_at="2026-05-05T16:00:00Z"),
        "reason": changed_event(lines[3], reason="of mine"),
        "digest": changed(lines[3], digest="0" * 64),
    }
    for name, line in edited.items():
        said = refused(run, "".join([*lines[:3], line, *lines[4:]]))
        assert "line 4 does not continue the log: position 4, webhooks/orders/customer-7" in said
        assert "its digest is not that of what it says and of the entry before it" in said, name
        same(book, source, 3)
    assert run("import", "-", text="".join(lines)).exit_code == 0
    same(book, source)


def test_what_the_law_forbids_is_refused_whatever_its_digest(
    book: Ledger, run: Run, lines: list[str]
) -> None:
    said = refused(run, lines[0] + changed(lines[1], epoch=1))
    assert "its epoch is 1, but the resets make it 0" in said
    said = refused(run, lines[0] + changed_event(lines[1], previous_sequence=0))
    assert "it starts from 0, but the cursor was at 1" in said
    said = refused(run, lines[0] + changed_event(lines[2], previous_sequence=1, sequence=0))
    assert "line 2" in said
    assert len(list(book.entries())) == 1


def test_a_filtered_or_shortened_export_is_refused(
    book: Ledger, source: Ledger, run: Run, lines: list[str]
) -> None:
    said = refused(run, "".join(lines[:1] + lines[2:]))
    assert "line 2 does not continue the log" in said
    assert "its version is 3, but 2 comes next" in said
    assert "made with filters" in said
    same(book, source, 1)
    assert run("import", "-", text="".join(lines[:5])).exit_code == 0
    said = refused(run, "".join(lines[:2] + lines[3:]))
    assert "line 3" in said
    assert "the ledger has position 3 before it" in said
    said = refused(run, "".join(lines[:3] + lines[5:]))
    assert "line 4" in said
    assert "the ledger has position 4 before it" in said
    same(book, source, 5)


def test_lines_in_another_order_or_twice_are_refused(
    book: Ledger, source: Ledger, run: Run, lines: list[str]
) -> None:
    for text in (lines[0] * 2, "".join(lines[:4]) + lines[2]):
        assert "so it must have a higher one" in refused(run, text)
    twice = refused(run, "".join(lines) + lines[-1])
    assert "must have a higher one" in twice
    same(book, source)


def test_another_ledger_is_refused_at_the_line_that_differs(
    book: Ledger, run: Run, lines: list[str]
) -> None:
    assert run("import", "-", text="".join(lines[:2])).exit_code == 0
    book.advance(JOBS, to=5)
    before = book.checkpoint()
    said = refused(run, "".join(lines))
    assert "line 3 does not continue the log: position 3" in said
    assert "the ledger has another entry at this position" in said
    said = refused(run, lines[0] + changed(lines[1], actor="nobody"))
    assert "with the same digest, so the line was edited" in said
    assert book.checkpoint() == before


def test_a_position_that_the_ledger_skipped_is_refused(run: Run, lines: list[str]) -> None:
    chosen = [line for line in lines if '"mailer"' in line]
    assert run("import", "-", text="".join(chosen)).exit_code == 0
    assert "and has no 4" in refused(run, lines[3])


def test_a_cut_file_is_noticed(
    book: Ledger, source: Ledger, run: Run, lines: list[str], tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    run("--db", tmp_path / "source.db", "export", "--checkpoint", kept)
    whole = "".join(lines)
    said = refused(run, whole[: len("".join(lines[:4])) + 100], 2)
    assert "line 5: not JSON" in said
    assert "it was cut off" in said
    same(book, source, 4)
    cut = run("import", "-", "--checkpoint", kept, text="".join(lines[:6]))
    assert cut.exit_code == 5
    assert f"covers {len(lines)} entries, and the ledger has 6: the file was cut off" in cut.stderr
    left_out = run("import", "-", "--checkpoint", kept, text=whole)
    assert left_out.exit_code == 0, left_out.output
    # More than it covers is no fault.
    source.advance(JOBS, to=50)
    assert run("import", "-", "--checkpoint", kept, text="".join(lines_of(source))).exit_code == 0


def test_entries_that_were_left_out_are_told_by_the_checkpoint(
    run: Run, lines: list[str], tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    run("--db", tmp_path / "source.db", "export", "--to-position", "2", "--checkpoint", kept)
    chosen = [line for line in lines if '"mailer"' in line]
    found = run("import", "-", "--checkpoint", kept, text="".join(chosen))
    assert found.exit_code == 5
    assert "are not those that the checkpoint covers" in found.stderr
    kept.write_text(kept.read_text() * 2)
    assert run("import", "-", "--checkpoint", kept, text=lines[0]).exit_code == 2


def test_what_is_no_export_makes_no_ledger(tmp_path: Path) -> None:
    absent = tmp_path / "absent.db"
    for text, said in (
        (b"\x1f\x8b\x08\x00\x00\xff", "it is compressed"),
        (b"SQLite format 3\0\x10", "it is a database"),
        (b"position,consumer_id\n", "it is CSV"),
        (b"[\n", "it is one JSON value"),
        (b"\xff\xfe{\0", "UTF-16"),
        (b"\xff\n", "not UTF-8"),
    ):
        done = CliRunner().invoke(main, ["--db", str(absent), "import", "-"], input=text)
        assert done.exit_code == 2
        assert said in done.stderr
        assert not absent.exists()


# --- batches, other writers, interrupts ---


@pytest.fixture
def long(tmp_path: Path) -> tuple[Path, Ledger]:
    path = tmp_path / "long.jsonl"
    with ledger.open(tmp_path / "long.db", actor="tester") as source:
        for start in range(1, 6_000, 500):
            source.append([AdvanceCursor(ORDERS, n) for n in range(start, start + 500)])
            source.append([ResetCursor(JOBS, 7, "because"), RecordError(JOBS, "boom")])
        path.write_text("".join(lines_of(source)))
    return path, source


def test_all_before_a_bad_line_in_a_later_batch_is_imported(
    book: Ledger, run: Run, long: tuple[Path, Ledger]
) -> None:
    lines = long[0].read_text().splitlines(keepends=True)
    lines[1_700] = changed(lines[1_700], actor="nobody")
    said = refused(run, "".join(lines))
    assert "stopped: 1,700 entries imported" in said
    assert "line 1,701" in said
    assert len(list(book.entries())) == 1_700
    said = refused(run, "".join([*lines[:1_690], "{}\n"]), 2)
    assert len(list(book.entries())) == 1_700
    assert "line 1,691: position is missing" in said
    assert book.verify().ok


def importing(target: str, file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, "--db", target, "import", file],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread
    )


def wait_for(book: Ledger, position: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while book.horizon().last < position and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.005)


def completed(book: Ledger, run: Run, file: Path) -> None:
    assert run("import", file).exit_code == 0
    assert lines_of(book) == file.read_text().splitlines(keepends=True)
    assert book.verify().ok


@pytest.mark.slow("it interrupts or kills commands at many moments")
def test_after_an_interrupt_the_same_command_goes_on(
    book: Ledger, target: str, run: Run, long: tuple[Path, Ledger]
) -> None:
    with importing(target, long[0]) as process:
        wait_for(book, 1_000, process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    if process.returncode:
        assert process.returncode == 130, said
        assert "run the same command again to continue the import" in said
    completed(book, run, long[0])


@pytest.mark.slow("it kills many imports, each a little later")
def test_an_import_that_is_killed_again_and_again_ends_the_same(
    book: Ledger, target: str, run: Run, long: tuple[Path, Ledger]
) -> None:
    killed = 0
    for nth in range(50):
        with importing(target, long[0]) as process:
            wait_for(book, 1 + nth * 120, process)
            time.sleep(0.002 * (nth % 7))
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
        text = long[0].read_text().splitlines(keepends=True)
        there = lines_of(book)
        assert there == text[: len(there)]
    assert killed > 10
    completed(book, run, long[0])


@pytest.mark.slow("it starts many processes")
def test_two_imports_at_once_end_as_one(
    book: Ledger, target: str, run: Run, long: tuple[Path, Ledger]
) -> None:
    ends: list[Result | tuple[int, str]] = []
    for process in [importing(target, long[0]) for _ in range(2)]:
        with process:
            _, said = process.communicate(timeout=120)
            ends.append((process.returncode, said))
    # The process that comes second to a batch is told to run the command again.
    for end in ends:
        assert end[0] == 0 or "Run the same command again" in end[1], end  # type: ignore[index]
    completed(book, run, long[0])
