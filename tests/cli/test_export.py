"""Cursors are exported as Kafka's tool reads them, all of them or none."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ledger import CursorKey, Ledger
from support.commands import Run

STORES = "every"


@pytest.fixture
def offsets(book: Ledger) -> Ledger:
    for group in ("mailer", "a, b"):
        for partition in (0, 2, 10):
            book.advance(CursorKey(group, "orders", str(partition)), to=partition + 40)
    book.reset(CursorKey("mailer", "invoices", "0"), to=0, reason="from the start")
    return book


def test_cursors_are_exported_by_topic_group_and_number_of_the_partition(
    offsets: Ledger, run: Run
) -> None:
    offsets.close()
    done = run("export", "--format", "kafka")
    assert (done.exit_code, done.stderr) == (0, "7 cursors exported\n")
    assert done.stdout.splitlines() == [
        "mailer,invoices,0,0",
        '"a, b",orders,0,40',
        '"a, b",orders,2,42',
        '"a, b",orders,10,50',
        "mailer,orders,0,40",
        "mailer,orders,2,42",
        "mailer,orders,10,50",
    ]


def test_consumers_are_chosen_one_by_one(offsets: Ledger, run: Run) -> None:
    offsets.advance(CursorKey("search", "orders", "0"), to=1)
    chosen = ("--consumer", "search", "--consumer", "mailer", "--consumer", "search")
    done = run("export", "--format", "kafka", *chosen, "--stream", "orders")
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["mailer"] * 3 + ["search"]


def test_the_group_is_left_out_for_one_consumer_only(offsets: Ledger, run: Run) -> None:
    offsets.close()
    done = run("export", "--format", "kafka", "--consumer", "mailer", "--no-group")
    assert done.stdout.splitlines()[0] == "invoices,0,0"
    for consumers in ([], ["--consumer", "mailer", "--consumer", "search"]):
        refused = run("export", "--format", "kafka", *consumers, "--no-group")
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "exactly one --consumer" in refused.stderr


def test_what_kafka_cannot_have_is_refused_and_nothing_is_written(
    offsets: Ledger, run: Run, tmp_path: Path
) -> None:
    offsets.advance(CursorKey("mailer", "orders"), to=5)
    offsets.advance(CursorKey("mailer", "orders/eu", "0"), to=5)
    file = tmp_path / "offsets.csv"
    for more in ([], ["-o", str(file)]):
        refused = run("export", "--format", "kafka", *more)
        assert (refused.exit_code, refused.stdout) == (3, "")
        assert "mailer/orders: '' cannot be a partition of Kafka" in refused.stderr
        assert "mailer/orders%2Feu/0: 'orders/eu' cannot be a topic of Kafka" in refused.stderr
        assert "2 cursors refused, nothing was written." in refused.stderr
        assert not file.exists()


def test_a_stream_whose_positions_are_not_offsets_is_refused(offsets: Ledger, run: Run) -> None:
    offsets.positions.declare("orders", "zero-based")
    assert run("export", "--format", "kafka").exit_code == 0
    offsets.positions.declare("invoices", "lsn", actor="ines")
    refused = run("export", "--format", "kafka")
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert "mailer/invoices/0: the positions of its stream are declared as lsn" in refused.stderr
    assert run("export", "--format", "kafka", "--stream", "orders").exit_code == 0


def test_a_file_is_private_and_is_never_a_database(
    offsets: Ledger, run: Run, tmp_path: Path, target: str
) -> None:
    offsets.close()
    file = tmp_path / "offsets.csv"
    done = run("export", "--format", "kafka", "--consumer", "mailer", "-o", file)
    assert (done.exit_code, done.stdout) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes().endswith(b"mailer,orders,10,50\n")
    if not target.startswith("postgresql://"):
        assert run("export", "--format", "kafka", "-o", target).exit_code == 2


def test_a_ledger_without_cursors_is_exported_as_nothing(book: Ledger, run: Run) -> None:
    book.close()
    done = run("export", "--format", "kafka", "--consumer", "nobody")
    said = "0 cursors exported\nNo cursor has the consumer 'nobody'.\n"
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", said)
