"""The recorded behaviour of the reference service: 1,500 requests get the answers it gave."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import ledger
from ledger import Cursor, CursorKey, CursorQuery, Ledger, LedgerError
from ledger.log.json import structure, unstructure
from projections.cli import main
from support.places import GOLDEN

RECORD = GOLDEN / "requests.jsonl.gz"
REFUSALS = {
    "invalid": "InvalidCursorError",
    "not_found": "CursorNotFoundError",
    "non_monotonic": "NonMonotonicCursorError",
    "reset_reason_required": "ResetReasonRequiredError",
}
WRITES = {"advance", "reset", "error"}


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    with gzip.open(RECORD, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def expected(plain: dict[str, Any]) -> dict[str, Any]:
    """Read a cursor of the reference, which has neither version nor epoch."""
    cursor = unstructure(structure({**plain, "version": 1, "epoch": 0}, Cursor))
    return without_counts(cursor)


def without_counts(cursor: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in cursor.items() if name not in {"version", "epoch"}}


def answer(book: Ledger, op: str, asked: dict[str, Any]) -> Any:
    if op == "get":
        return without_counts(unstructure(book.get(structure(asked, CursorKey))))
    if op == "list":
        found = book.cursors(structure(asked, CursorQuery))
        return [without_counts(unstructure(cursor)) for cursor in found]
    [cursor] = book.append([structure({"op": op, op: asked}, ledger.Request)])
    return without_counts(unstructure(cursor))


def test_the_library_answers_as_the_reference_did(
    recorded: list[dict[str, Any]], target: str
) -> None:
    assert len(recorded) == 1_500
    with ledger.open(target, actor="replayer", durability="normal") as book:
        for number, line in enumerate(recorded, 1):
            op, want = line["op"], line["want"]
            try:
                got = answer(book, op, line[op])
            except LedgerError as error:
                assert type(error).__name__ == REFUSALS.get(want.get("err")), (number, error)
                continue
            assert "err" not in want, (number, want)
            cursors = [expected(cursor) for cursor in want["ok"]] if op == "list" else None
            assert got == (expected(want["ok"]) if cursors is None else cursors), number
        assert book.verify().ok


def test_the_command_appends_and_refuses_what_the_reference_did(
    recorded: list[dict[str, Any]], target: str, tmp_path: Path
) -> None:
    writes = [line for line in recorded if line["op"] in WRITES]
    file = tmp_path / "writes.jsonl"
    file.write_text(
        "".join(
            json.dumps({"op": line["op"], line["op"]: line[line["op"]]}) + "\n" for line in writes
        )
    )
    done = CliRunner().invoke(main, ["--db", target, "append", str(file)])
    assert done.exit_code == 3
    refused = [json.loads(row) for row in done.stdout.splitlines()]
    assert {row["line"]: row["error"] for row in refused} == {
        number: REFUSALS[line["want"]["err"]]
        for number, line in enumerate(writes, 1)
        if "err" in line["want"]
    }
    appended = [line["want"]["ok"] for line in writes if "ok" in line["want"]]
    with ledger.open(target) as book:
        assert list(replayed(book)) == [expected(cursor) for cursor in appended]
        assert book.verify().ok


def replayed(book: Ledger) -> Iterator[dict[str, Any]]:
    """Yield the cursor after each entry, as the log alone tells it."""
    cursors: dict[CursorKey, Cursor | None] = {}
    for entry in book.entries():
        cursor = ledger.fold([entry], cursors.get(entry.key))
        cursors[entry.key] = cursor
        yield without_counts(unstructure(cursor))
