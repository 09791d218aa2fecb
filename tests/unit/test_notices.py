"""What is logged: nothing by default; documented fields; no secret; and never a failure."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ledger
from ledger import notices
from ledger.notices import NOTICES, Level, Notice
from support.records import recorded

PACKAGE = Path(ledger.__file__).parent
PAGE = PACKAGE.parent / "docs" / "logging.md"
TRIED = Notice(
    "tried", Level.WARNING, "%(place)s: %(cause)s, %(count)s", ("place", "cause", "count")
)


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    with recorded(logging.DEBUG) as records:
        yield records


def fact(record: logging.LogRecord, name: str) -> object:
    return getattr(record, name)


def test_a_record_has_its_event_its_level_and_its_fields(records: list[logging.LogRecord]) -> None:
    TRIED.report(place="here", cause=ValueError("no  luck\n today"), count=3)
    [record] = records
    assert (record.name, record.levelno, fact(record, "event")) == ("cursor_ledger", 30, "tried")
    assert [fact(record, name) for name in TRIED.fields] == ["here", "no luck today", 3]
    assert record.getMessage() == "here: no luck today, 3"
    assert record.funcName == "test_a_record_has_its_event_its_level_and_its_fields"


def test_a_record_has_no_secret_and_is_one_line_for_the_eye(
    records: list[logging.LogRecord],
) -> None:
    TRIED.report(
        place="postgresql://me:hunter2@db/ledger",
        cause='connection "host=db password=hunter2 dbname=x" \x1b[31m failed\u202e',
        count=None,
    )
    TRIED.report(place="Authorization: Bearer eyJhbGciOi.hunter2.x", cause="x" * 10_000, count=0)
    for record in records:
        said = record.getMessage()
        assert "hunter2" not in said + repr(vars(record))
        assert said.isprintable()
        assert len(said) < 3_000


def test_what_cannot_be_logged_is_no_failure(
    records: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unsayable:
        def __str__(self) -> str:
            raise ZeroDivisionError

    class Broken(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise ZeroDivisionError(record)

    TRIED.report(place="", cause="", count=1)
    assert len(records) == 1
    records.clear()
    TRIED.report(place=Unsayable(), cause="", count=1)
    TRIED.report(place="a field is missing")
    monkeypatch.setattr(logging.getLogger(notices.LOGGER), "filters", [Broken()])
    TRIED.report(place="", cause="", count=1)
    assert records == []


def test_what_nobody_wants_is_not_made() -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError

    with recorded(logging.ERROR) as records, pytest.MonkeyPatch.context() as patched:
        # It is seen here if it is made, because an AssertionError would be suppressed.
        patched.setattr(notices, "_shown", records.append)
        TRIED.report(place=Costly(), cause="", count=1)
    assert records == []


REFUSED = """
import sys
{before}
import ledger
with ledger.open(":memory:", actor="") as book:
    for refused in (dict(actor=""), dict(actor="me", expected_version=7)):
        try:
            book.reset(ledger.CursorKey("a", "b"), to=1, reason="why", **refused)
        except ledger.LedgerError as error:
            print(type(error).__name__)
from ledger.notices import NOTICES
for notice in NOTICES:
    notice.report(**dict.fromkeys(notice.fields, "x"))
print("logging" in sys.modules)
"""


@pytest.mark.parametrize("imported", [False, True])
def test_nothing_is_printed_by_default(*, imported: bool) -> None:
    program = REFUSED.format(before="import logging" if imported else "")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["ActorRequiredError", "VersionConflictError", str(imported)]


def test_the_page_lists_every_notice() -> None:
    rows = [
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    ]
    listed = [[cell.strip() for cell in row.strip("|").split("|")][:3] for row in rows]
    assert listed == [
        [
            f"`{notice.name}`",
            notice.level.name,
            ", ".join(f"`{name}`" for name in notice.fields),
        ]
        for notice in NOTICES
    ]


def test_every_notice_is_reported_somewhere_with_exactly_its_fields() -> None:
    by_name = {name: value for name, value in vars(notices).items() if isinstance(value, Notice)}
    assert set(by_name.values()) == set(NOTICES)
    reported: set[str] = set()
    for module in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Attribute(value=ast.Name(id="notices"), attr=name), attr="report"
                    ),
                    args=[],
                    keywords=keywords,
                ):
                    given = [keyword.arg for keyword in keywords]
                    assert given == list(by_name[name].fields), (module, name)
                    reported.add(name)
    assert reported == set(by_name)


def test_a_field_hides_nothing_that_a_record_has() -> None:
    record = logging.makeLogRecord({})
    own = {*vars(record), "message", "asctime"}
    for notice in NOTICES:
        assert own.isdisjoint({"event", *notice.fields})
        assert notice.text % dict.fromkeys(notice.fields, "x")
        assert notice.level.name == logging.getLevelName(notice.level)
        assert len(set(notice.fields)) == len(notice.fields)
        assert all(f"%({name})s" in notice.text for name in notice.fields)
    assert len({notice.name for notice in NOTICES}) == len(NOTICES)


def test_every_notice_is_public_in_its_module_and_on_the_page() -> None:
    defined = {name: each for name, each in vars(notices).items() if isinstance(each, Notice)}
    assert defined
    assert set(defined) <= set(notices.__all__)
    assert set(defined.values()) == set(NOTICES)
    page = PAGE.read_text(encoding="utf-8")
    assert [each.name for each in NOTICES if f"`{each.name}`" not in page] == []
