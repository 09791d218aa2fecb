"""resets --report: all resets of a period, for an auditor, with what is missing named first."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import CursorKey
from projections import report_resets
from support.clock import Clock
from support.commands import Run, records
from support.cursors import JOBS, ORDERS
from support.ssh_keys import OTHER, THREE, Keys, forge, needs_ssh, planned

STORES = "every"

EVIL = "<script>alert(1)</script>&\"'\u202e=1+1"


@pytest.fixture
def full(run: Run, target: str, clock: Clock) -> Run:
    """Return a ledger with three resets, an hour apart, and a takeover."""
    with ledger.open(target, actor="tester", clock=clock) as book:
        for key in THREE:
            book.advance(key, to=44)
        for reason, ticket in ((EVIL, "OPS-1"), ("lost", ""), ("=1+1", "OPS-3")):
            metadata = {"ticket": ticket} if ticket else {}
            book.reset(ORDERS, to=1, reason=reason, metadata=metadata)
            clock.tick(3_600)
        book.consumer(JOBS, take_over="deploy 1.4.2")
    return run


@pytest.fixture
def file(path: Path) -> Path:
    return path.with_name("report.csv")


def rows(file: Path) -> list[dict[str, str]]:
    text = file.read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.said += data


def cells(file: Path, name: str) -> Iterator[str]:
    return (row[name] for row in rows(file))


def test_it_has_every_reset_of_the_period_and_names_what_is_missing(full: Run, file: Path) -> None:
    done = full("resets", "--report", file)
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert "without a ticket: 1 of 3, at position 5\n" in done.stderr
    assert "without a signature that is known: 3 of 3, at position 4, 5, 6\n" in done.stderr
    assert "nobody has looked at signatures: add --allowed-signers FILE" in done.stderr
    assert list(cells(file, "position")) == ["4", "5", "6"]
    assert list(cells(file, "ticket")) == ["OPS-1", "", "OPS-3"]
    assert list(cells(file, "missing")) == [
        "signature, approval",
        "ticket, signature, approval",
        "signature, approval",
    ]
    assert file.stat().st_mode & 0o777 == 0o600


def test_it_says_what_a_reset_did_and_what_became_of_it(full: Run, file: Path, target: str) -> None:
    with ledger.open(target, actor="tester") as book:
        book.reset(JOBS, to=50, reason="skip")
        book.advance(ORDERS, to=1)
    assert full("resets", "--report", file).exit_code == 0
    assert list(cells(file, "effect")) == ["43 to deliver again", "none", "none", "6 skipped"]
    assert next(iter(cells(file, "result"))) == "not caught up yet"
    text = file.with_suffix(".txt")
    assert full("resets", "--report", text).exit_code == 0
    assert "43 to deliver again" in text.read_text()


@pytest.mark.parametrize(
    ("since", "until", "positions"),
    [
        ("2026-05-05T17:00:00Z", None, ["5", "6"]),
        (None, "2026-05-05T17:00:00Z", ["4", "5"]),
        ("2026-05-05T16:00:01Z", "2026-05-05T17:59:59Z", ["5"]),
        ("2026-05-06T00:00:00Z", None, []),
    ],
)
def test_a_period_has_both_its_ends(
    full: Run, file: Path, since: str | None, until: str | None, positions: list[str]
) -> None:
    options = [*(("--since", since) if since else ()), *(("--until", until) if until else ())]
    assert full("resets", "--report", file, *options).exit_code == 0
    assert list(cells(file, "position")) == positions
    # An empty one is one, too.
    assert file.read_text().startswith("position,recorded_at,consumer")


def test_each_line_can_be_proved_under_the_checkpoint_that_it_names(
    full: Run, file: Path, path: Path
) -> None:
    full("resets", "--report", file)
    checkpoint = records(full("checkpoint"))[0]
    assert set(cells(file, "checkpoint_root")) == {checkpoint["root"]}
    assert set(cells(file, "checkpoint_entries")) == {str(checkpoint["entries"])}
    key, note = path.with_name("key"), path.with_name("note")
    vkey = full("key", "new", key, "--origin", "example.com/x").stdout.strip()
    note.write_text(full("checkpoint", "--sign", key).stdout)
    for row in rows(file):
        proof = full("proof", row["position"], "--checkpoint", note)
        path.with_name("proof").write_text(proof.stdout)
        proved = records(full("verify-proof", path.with_name("proof"), "--vkey", vkey))[0]
        assert proved["digest"] == row["digest"]


def test_a_spreadsheet_opens_it_right(full: Run, file: Path) -> None:
    full("resets", "--report", file)
    assert not file.read_bytes().startswith(b"\xef\xbb\xbf")
    assert full("resets", "--report", file, "--bom").exit_code == 0
    data = file.read_bytes()
    assert data.startswith(b"\xef\xbb\xbfposition,")
    for cell in cells(file, "reason"):
        assert not re.match(r"\s*[=+@-]", cell)
    assert "\u202e" not in data.decode()


def test_a_page_has_all_of_it_and_runs_nothing(full: Run, path: Path) -> None:
    file = path.with_name("report.html")
    assert full("resets", "--report", file).exit_code == 0
    text = file.read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert {name for name, _ in page.attributes} <= {
        *("lang", "charset", "http-equiv", "content", "class"),
    }
    assert "default-src 'none'" in text
    assert "<script>alert(1)</script>" in page.said
    assert "\u202e" not in text
    assert "@page" in text
    assert "without a ticket: 1 of 3, at position 5" in page.said
    assert "3 resets; a takeover by a consumer moves nothing and is not listed" in page.said
    with_root = records(full("checkpoint"))[0]["root"]
    assert with_root in page.said
    facts, heading = 10, 1
    assert page.tags.count("tr") == facts + heading + 3


def test_a_text_has_all_of_it(full: Run, path: Path) -> None:
    file = path.with_name("report.txt")
    assert full("resets", "--report", file).exit_code == 0
    text = file.read_text()
    assert text.startswith("Resets of cursors\n\nwithout a ticket: 1 of 3, at position 5\n")
    assert len(re.findall(r"^position  +\d", text, re.MULTILINE)) == 3
    assert "\u202e" not in text


@needs_ssh
def test_it_says_who_has_signed_and_approved(
    full: Run, target: str, keys: Keys, file: Path
) -> None:
    with ledger.open(target, actor="tester") as book:
        keys.approve("omar", keys.sign("ines", planned(book, JOBS))).apply(book)
        keys.sign("ines", planned(book, OTHER)).apply(book)
    allowed = ("--allowed-signers", keys.trusting("ines", "omar").path)
    done = full("resets", "--report", file, *allowed)
    assert done.exit_code == 0
    assert list(cells(file, "proof"))[3:] == ["signed by ines@example.com"] * 2
    assert list(cells(file, "approval"))[3:] == ["approved by omar@example.com", ""]
    assert list(cells(file, "missing"))[3:] == ["", "approval"]
    assert "without an approval that is known: 4 of 5, at position 4, 5, 6, 9" in done.stderr
    assert "nobody has looked" not in done.stderr


@needs_ssh
def test_what_is_bad_or_left_out_is_named_before_all_else(
    full: Run, target: str, keys: Keys, file: Path
) -> None:
    with ledger.open(target, actor="tester") as book:
        plan = keys.sign("ines", planned(book, ORDERS, OTHER))
        book.advance(ORDERS, to=45)
        forge(book, plan)
    allowed = ("--allowed-signers", keys.trusting("ines").path)
    done = full("resets", "--report", file, *allowed)
    assert done.exit_code == 5
    assert done.stderr.startswith("BAD SIGNATURE: 1 of 5, at position 9\n")
    # Only one of the two was ever made.
    keep = [row["position"] for row in rows(file) if row["proof"].startswith("signed by")]
    assert keep == ["10"]


@needs_ssh
def test_a_plan_of_which_a_part_is_not_there_is_named(
    target: str, keys: Keys, full: Run, file: Path
) -> None:
    with ledger.open(target, actor="tester") as book:
        plan = keys.sign("ines", planned(book, JOBS, OTHER))
        kept: list[Any] = []

        def only_first(pairs: dict[str, str]) -> dict[str, str]:
            kept.append(pairs)
            if len(kept) > 1:
                raise StopIteration
            return pairs

        with pytest.raises((StopIteration, RuntimeError)):
            forge(book, plan, metadata=only_first)
    done = full("resets", "--report", file, "--allowed-signers", keys.trusting("ines").path)
    assert "signed for more cursors than were reset: 1 of 4, at position 8" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--report", "x.pdf"), "ends in .csv, .html, .txt"),
        (("--report", "x.html", "--bom"), "--bom is for .csv"),
        (("--bom",), "--bom is for --report"),
        (("--report", "x.csv", "--by", "ines"), "so that none is missing. Leave out --by"),
        (("--report", "x.csv", "--stream", "orders"), "Leave out --stream"),
        (("--report", "x.csv", "-n", "1"), "Leave out -n"),
        (("--report", "x.csv", "--json"), "Leave out the form"),
    ],
)
def test_what_would_not_be_all_of_it_is_refused(
    full: Run, path: Path, options: tuple[str, ...], said: str
) -> None:
    named = (str(path.with_name(each)) if each.startswith("x.") else each for each in options)
    refused = full("resets", *named)
    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.split())


def test_the_ledger_itself_is_not_written_over(full: Run, path: Path, kind: str) -> None:
    if kind != "sqlite":
        pytest.skip("it is no file")
    link = path.with_name("link.csv")
    link.symlink_to(path)
    assert full("resets", "--report", link).exit_code == 2


@pytest.mark.usefixtures("full")
def test_in_a_program_it_is_a_value(target: str) -> None:
    with ledger.open(target) as book:
        report = report_resets(book, since=datetime(2026, 5, 5, 17, tzinfo=UTC))
    assert [reset.position for reset in report.resets] == [5, 6]
    assert [reset.position for reset in report.without_ticket] == [5]
    assert report.resets[0].key == CursorKey("webhooks", "orders", "customer-7")
    assert report.takeovers == 1
    assert report.bad == report.incomplete == []


def test_what_is_appended_behind_the_checkpoint_is_not_in_it(
    book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.reset(ORDERS, to=1, reason="lost")
    checkpoint = book.checkpoint

    def then_another(**options: Any) -> ledger.Checkpoint:
        kept = checkpoint(**options)
        book.reset(JOBS, to=1, reason="meanwhile")
        return kept

    monkeypatch.setattr(book, "checkpoint", then_another)
    report = report_resets(book)
    assert report.checkpoint.entries == len(report.resets) == 1


def test_a_ledger_without_entries_has_a_report(run: Run, target: str, file: Path) -> None:
    ledger.open(target).close()
    assert run("resets", "--report", file).exit_code == 0
    assert rows(file) == []
