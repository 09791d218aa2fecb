"""The log is exported whole, in order and in constant memory, in formats that others read."""

from __future__ import annotations

import csv
import io
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import ledger
from ledger import AdvanceCursor, CursorKey, Ledger
from support.clock import Clock
from support.commands import Run
from support.cursors import JOBS, ORDERS, fill
from support.environments import environment

STORES = "every"

ODD = CursorKey('=x"\x1b[31m/ü', "orders", "a,b\u202e")


@pytest.fixture
def full(book: Ledger, clock: Clock) -> Ledger:
    fill(book, clock)
    book.advance(ODD, to=2**63 - 1, delivery_id="\u2028")
    book.start(CursorKey("began", "orders"), at=41, reason="moved", source="kafka")
    book.heads.record("orders", "", 44)
    return book


def test_lines_are_those_of_entries_byte_for_byte(full: Ledger, run: Run, tmp_path: Path) -> None:
    full.positions.declare("jobs", "zero-based")
    shown = run("entries", "--jsonl")
    assert run("export").stdout_bytes == shown.stdout_bytes
    file = tmp_path / "log.jsonl"
    done = run("export", "-o", file)
    assert (done.exit_code, done.stdout) == (0, "")
    assert file.read_bytes() == shown.stdout_bytes
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    root = full.checkpoint().root.hex()
    count = len(list(full.entries()))
    last = full.horizon().position
    assert done.stderr == f"{count} entries exported, up to position {last}, root {root}\n"


def test_the_checkpoint_is_that_of_what_was_exported(
    full: Ledger, run: Run, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    assert run("export", "--checkpoint", kept).exit_code == 0
    whole = json.loads(kept.read_text())
    assert (whole["entries"], whole["root"]) == (
        full.checkpoint().entries,
        full.checkpoint().root.hex(),
    )
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    fifth = list(full.entries())[4]
    assert run("export", "--checkpoint", kept, "--to-position", fifth.position).exit_code == 0
    full.advance(JOBS, to=99)
    found = run("verify", "--against", kept)
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["against"][0]["checkpoint"]["entries"] == 5
    refused = run("export", "--checkpoint", kept, "--consumer", "mailer")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "from its beginning on" in refused.stderr


def test_filters_are_those_of_entries(full: Ledger, run: Run) -> None:
    for chosen in (
        ["--kind", "reset"],
        ["--consumer", "mailer", "--stream", "jobs"],
        ["--from-position", "3", "--to-position", "5"],
        ["--by", "tester", "--covering", "4"],
        ["--subject", "customer-7", "--since", "2000-01-01T00:00:00Z"],
    ):
        exported = run("export", *chosen)
        assert exported.stdout == run("entries", "--jsonl", *chosen).stdout != ""
        assert "a part of the log" in exported.stderr
    two = run("export", "--consumer", "webhooks", "--consumer", "mailer", "--consumer", "mailer")
    positions = [json.loads(line)["position"] for line in two.stdout.splitlines()]
    expected = [e.position for e in full.entries() if e.key.consumer_id in ("webhooks", "mailer")]
    assert positions == expected == sorted(expected)
    nobody = run("export", "--consumer", "mailr")
    assert (nobody.exit_code, nobody.stdout) == (0, "")
    assert "Did you mean mailer?" in nobody.stderr


def test_options_of_one_format_are_refused_with_another(full: Ledger, run: Run) -> None:
    full.close()
    for wrong, said in (
        (["--format", "kafka", "--kind", "reset"], "--kind is for entries"),
        (["--format", "kafka", "--by", "ines"], "--by is for entries"),
        (["--format", "kafka", "--from-position", "1"], "--from-position is for entries"),
        (["--format", "kafka", "--checkpoint", "k"], "--checkpoint is for entries"),
        (["--format", "kafka", "--source", "x"], "--source is for entries"),
        (["--no-group"], "--no-group is for --format kafka"),
        (["--source", "https://example.com"], "--source is for --format cloudevents"),
        (["--format", "cloudevents", "--source", "a b"], "must be a URI"),
        (["--format", "cloudevents", "--source", ""], "must be a URI"),
        (["--format", "cloudevents", "--source", "%zz"], "must be a URI"),
    ):
        refused = run("export", *wrong)
        assert (refused.exit_code, refused.stdout) == (2, ""), wrong
        assert said in " ".join(refused.stderr.split())


def events(run: Run, *more: str) -> list[dict[str, object]]:
    done = run("export", "--format", "cloudevents", *more)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_cloud_event_has_what_the_specification_wants(full: Ledger, run: Run) -> None:
    found = events(run, "--source", "https://example.com/orders")
    entries = list(full.entries())
    for event, entry in zip(found, entries, strict=True):
        # CloudEvents 1.0.2: required, then optional attributes, then the extension, then the data.
        assert list(event) == [
            *("specversion", "id", "source", "type", "subject", "time", "datacontenttype"),
            *("sequence", "data"),
        ]
        assert event["specversion"] == "1.0"
        assert event["id"] == entry.digest.hex()
        assert event["source"] == "https://example.com/orders"
        assert event["subject"] == str(entry.key)
        assert event["datacontenttype"] == "application/json"
        assert event["type"] == event["data"]["event"]["tag"]  # type: ignore[index]
    lines = run("export").stdout.splitlines()
    assert [event["data"] for event in found] == [json.loads(line) for line in lines]
    # Compared as texts, they are in the order of the log.
    sequences = [str(event["sequence"]) for event in found]
    assert sequences == sorted(sequences)
    assert {len(each) for each in sequences} == {len(str(2**63 - 1))}
    assert [int(each) for each in sequences] == [entry.position for entry in entries]
    assert len({event["id"] for event in found}) == len(found)


def test_the_source_is_the_origin_where_none_is_named(
    full: Ledger, run: Run, tmp_path: Path
) -> None:
    first = next(full.entries()).digest.hex()
    [source] = {event["source"] for event in events(run)}
    assert source == f"cursor-ledger/{full.identity() or first}"
    # A copy in a file has the events of its original, whatever that is in.
    with ledger.open(tmp_path / "copy.db") as copy:
        full.copy_to(copy)
    mine = [(event["id"], event["data"]) for event in events(run)]
    assert mine == [
        (event["id"], event["data"]) for event in events(run, "--db", str(tmp_path / "copy.db"))
    ]


READ = """
import json, sys
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
for line in sys.stdin.buffer:
    event = JSONFormat().read(CloudEvent, line)
    event.get_time().isoformat()
    print(json.dumps([event.get_id(), event.get_source(), event.get_type(), event.get_subject(),
        event.get_extension("sequence"), event.get_datacontenttype(), event.get_data()]))
"""


@pytest.mark.slow("it makes an environment with the package of the CloudEvents project")
@pytest.mark.usefixtures("full")
def test_the_package_of_the_cloudevents_project_reads_them(run: Run) -> None:
    python = environment("cloudevents", "cloudevents==2.2.0")
    done = run("export", "--format", "cloudevents")
    read = subprocess.run(
        [python, "-c", READ], input=done.stdout_bytes, capture_output=True, check=False
    )
    assert read.returncode == 0, read.stderr
    names = ("id", "source", "type", "subject", "sequence", "datacontenttype", "data")
    ours = [[event[name] for name in names] for event in events(run)]
    assert [json.loads(line) for line in read.stdout.splitlines()] == ours


def test_csv_is_that_of_entries(full: Ledger, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    assert run("export", "--format", "csv", "-o", file).exit_code == 0
    shown = run("entries", "--csv")
    assert file.read_text("utf-8") == run("export", "--format", "csv").stdout == shown.stdout
    rows = list(csv.DictReader(io.StringIO(file.read_text("utf-8"))))
    assert [int(row["position"]) for row in rows] == [e.position for e in full.entries()]
    assert rows[-3]["consumer_id"].startswith("'=x")


def test_an_empty_ledger_is_exported_as_nothing(book: Ledger, run: Run, tmp_path: Path) -> None:
    book.close()
    kept = tmp_path / "kept.json"
    done = run("export", "--checkpoint", kept)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "0 entries exported\n")
    assert json.loads(kept.read_text())["entries"] == 0
    assert events(run) == []


def test_a_file_is_whole_or_not_there_and_never_the_ledger(
    full: Ledger, run: Run, tmp_path: Path, target: str
) -> None:
    full.close()
    file = tmp_path / "log.jsonl"
    file.write_text("old")
    assert run("export", "-o", file, "--since", "nonsense").exit_code == 2
    assert file.read_text() == "old"
    assert run("export", "-o", tmp_path / "no" / "log.jsonl").exit_code == 1
    if not target.startswith("postgresql://"):
        for name in (target, f"{target}-wal"):
            assert run("export", "-o", name).exit_code == 2
            assert run("export", "--checkpoint", name).exit_code == 2


MEMORY = """
import io, resource, sys
from ledger.cli.process import streams
from projections.cli import main
sys.stdout = open("/dev/null", "w")
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def most_kib(*arguments: object) -> int:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stderr.split()[-1])


@pytest.mark.slow("it measures memory over long logs")
def test_a_long_log_takes_no_more_memory_than_a_short_one(book: Ledger, target: str) -> None:
    book.append([AdvanceCursor(ORDERS, n) for n in range(1, 2_000)])
    short = most_kib("--db", target, "export", "--format", "cloudevents")
    for n in range(2_000, 22_000, 2_000):
        book.append([AdvanceCursor(ORDERS, n + m) for m in range(2_000)])
    assert most_kib("--db", target, "export", "--format", "cloudevents") - short < 4 * 1_024
