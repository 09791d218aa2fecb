"""Commands on a file: held, without a ledger, edited."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.commands import OWNER, Run, last, line, records


def test_a_held_database_is_busy_and_says_to_try_again(run: Run, path: Path) -> None:
    run("advance", *OWNER, "--to", 5)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    busy = run("--busy-timeout", 0, "advance", *OWNER, "--to", 6)
    holder.close()
    assert busy.exit_code == 75
    assert "try again" in busy.stderr


@pytest.mark.parametrize(
    "command", [["list"], ["verify"], ["reset", *OWNER, "--to", "1", "--reason", "x"]]
)
def test_a_command_that_reads_leaves_a_database_without_a_ledger_as_it_is(
    run: Run, path: Path, command: list[str]
) -> None:
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE users (name TEXT)")
    raw.commit()
    raw.close()
    before = path.read_bytes()
    refused = run(*command)
    assert refused.exit_code == 1
    assert "holds no ledger" in refused.stderr
    assert path.read_bytes() == before


def test_verify_lists_every_fault_and_fails(run: Run, path: Path) -> None:
    for sequence in (1, 2, 3):
        run("advance", *OWNER, "--to", sequence)
    kept = run("checkpoint").stdout
    path.with_name("kept.json").write_text(kept)
    assert records(run("verify", "--against", path.with_name("kept.json")))[0]["ok"]
    raw = sqlite3.connect(path)
    raw.execute("DROP TRIGGER ledger_events_refuse_update")
    raw.execute("UPDATE ledger_events SET actor = 'nobody' WHERE position IN (1, 3)")
    raw.commit()
    raw.close()
    found = run("verify")
    assert found.exit_code == 5
    [report] = records(found)
    assert [(fault["kind"], fault["position"]) for fault in report["faults"]] == [
        ("definition", None),
        ("edited", 1),
        ("edited", 3),
    ]
    table = run("verify", "--table")
    assert table.exit_code == 5
    assert "3 faults in 3 entries of 1 cursor" in table.stderr


def test_verify_says_what_it_covered(run: Run, path: Path) -> None:
    kept = []
    for sequence in (1, 2, 3):
        run("advance", *OWNER, "--to", sequence)
        kept.append(run("checkpoint").stdout)
    first, rest = path.with_name("first.json"), path.with_name("rest.jsonl")
    first.write_text(kept[0])
    rest.write_text("\n".join(kept[1:]))
    run("advance", *OWNER, "--to", 4)
    files = ("--against", rest, "--against", first)
    assert run("verify", "--table", *files).stdout.splitlines()[1:] == [
        f"{rest}: kept, 2 entries",
        f"{rest} line 3: kept, 3 entries",
        f"{first}: kept, 1 entry",
        (
            "1 entry not covered by a checkpoint that was given: run cursor-ledger checkpoint, "
            "and keep its output outside the database"
        ),
    ]
    [report] = records(run("verify", "--jsonl", *files))
    assert (report["unvouched"], report["unsettled"]) == (1, 0)
    assert [each["standing"] for each in report["against"]] == ["kept"] * 3
    heading, row = run("verify", "--csv").stdout.splitlines()
    assert heading == "kind,place,position,version,detail"
    assert row.startswith('ok,the log,,,"4 entries of 1 cursor, root ')
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(
            "DROP TRIGGER ledger_events_refuse_delete;DELETE FROM ledger_events WHERE position > 2;"
        )
    failed = run("verify", "--jsonl", *files)
    assert failed.exit_code == 5
    [report] = records(failed)
    assert [each["standing"] for each in report["against"]] == ["kept", "cut off", "kept"]
    [fault] = [fault for fault in report["faults"] if fault["kind"] == "checkpoint"]
    assert fault["place"] == "the checkpoint over 3 entries"
    assert "cut off behind position 2" in fault["detail"]
    assert "the first 2 are, by an earlier checkpoint" in fault["detail"]
    assert report["unvouched"] == 0


def test_stored_cursors_are_repaired(full: Run, path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE ledger_cursors SET last_sequence = 99 WHERE consumer_id = 'mailer'")
        raw.commit()
    assert full("verify").exit_code == 5
    repaired = full("verify", "--repair")
    assert repaired.exit_code == 0
    assert "repaired: mailer/orders" in repaired.stderr
    assert "last_sequence is 99, by its entries 7" in repaired.stderr
    assert "1 of 2 stored cursors repaired" in repaired.stderr
    assert last(full, "mailer", "orders")["last_sequence"] == 7


@pytest.mark.parametrize("how", ["--atomic", "--from-line=1"])
def test_a_file_for_a_damaged_cursor_says_that_the_ledger_is_damaged(
    run: Run, path: Path, how: str
) -> None:
    run("append", "-", text=line(1))
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE ledger_cursors SET last_sequence = 'four'")
        raw.commit()
    damaged = run("append", "-", how, text=line(2))
    assert damaged.exit_code == 5
    assert "its stored cursor has columns of the wrong types" in damaged.output
    assert "bug in cursor-ledger" not in damaged.stderr
