"""A ledger that was pruned answers as if it was not, or says that entries are archived."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import ledger
from ledger import (
    ArchivedError,
    CursorKey,
    CursorQuery,
    CursorReset,
    EntryQuery,
    ErrorRecorded,
    Ledger,
)
from projections.cli import main
from support.cursors import JOBS, ORDERS
from support.pruned import IDLE, ONLY_ERRORS, TwoLedgers, two_ledgers

# What they look at takes long to make: one process makes it.
pytestmark = pytest.mark.xdist_group("pruned answers")

NEW = CursorKey("new", "clicks", "0")
KEYS = [ORDERS, JOBS, IDLE, ONLY_ERRORS, NEW, CursorKey("nobody", "orders")]


@pytest.fixture(scope="module", params=[*range(5), "twice"])
def two(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TwoLedgers:
    folder = tmp_path_factory.mktemp("two")
    if request.param == "twice":
        return two_ledgers(folder, 3, first=1)
    return two_ledgers(folder, request.param)


@pytest.fixture
def books(two: TwoLedgers) -> Iterator[tuple[Ledger, Ledger]]:
    with ledger.open(two.pruned, actor="x") as pruned, ledger.open(two.twin, actor="x") as twin:
        yield pruned, twin


def queries(two: TwoLedgers, twin: Ledger) -> Iterator[EntryQuery]:
    cut = two.position
    times = [entry.recorded_at for entry in twin.entries()][:: max(1, cut // 3)]
    chosen: list[dict[str, Any]] = [{}]
    chosen += [{"key": key} for key in KEYS]
    chosen += [{"consumer_id": "mailer"}, {"stream_name": "clicks"}, {"consumer_id": "idle"}]
    chosen += [{"key": ORDERS, "version_from": n} for n in range(1, 12, 2)]
    chosen += [{"key": ORDERS, "version_until": n} for n in range(1, 12, 4)]
    bounds: list[dict[str, Any]] = [{}]
    bounds += [{"position_from": n} for n in (1, cut, cut + 1, cut + 3)]
    bounds += [{"position_from": cut + 1, "position_until": cut + 2}, {"position_until": cut}]
    bounds += [{"recorded_from": at} for at in times] + [{"recorded_until": at} for at in times]
    ways: list[dict[str, Any]] = [
        *({}, {"newest_first": True}, {"limit": 2}, {"newest_first": True, "limit": 2}),
        *({"kinds": [CursorReset]}, {"kinds": [ErrorRecorded], "newest_first": True, "limit": 1}),
        *({"covering": 35}, {"actor": "tester"}, {"jumping": True}),
    ]
    for parts in product(chosen, bounds, ways):
        yield EntryQuery(**{name: value for part in parts for name, value in part.items()})
    yield from (EntryQuery(positions=[n, n + 1]) for n in range(1, cut + 4))


@pytest.mark.slow("it asks a ledger after each prune all that can be asked")
def test_entries_are_the_same_or_they_are_said_to_be_archived(
    two: TwoLedgers, books: tuple[Ledger, Ledger]
) -> None:
    pruned, twin = books
    found: Counter[str] = Counter()
    for query in queries(two, twin):
        expected = list(twin.entries(query))
        got = []
        try:
            for entry in pruned.entries(query):
                got += [entry]
        except ArchivedError as error:
            found["archived"] += 1
            assert (error.position, error.file, error.actor) == (two.position, "a.jsonl", "ines")
            assert error.sha256 == two.done.cut.archive.sha256
            assert error.reason == "a year is over"
            # Only the newest are told before.
            assert got == (expected[: len(got)] if query.newest_first else []), query
            continue
        found["answered"] += 1
        found["not empty"] += bool(got)
        assert got == expected, query
        assert all(entry.position > two.position for entry in got), query
    assert found["archived"] > 100, found
    assert found["not empty"] > (10 if two.done.cut.first is None else 50), found


def test_what_has_no_archived_entry_is_answered(
    two: TwoLedgers, books: tuple[Ledger, Ledger]
) -> None:
    pruned, twin = books
    archived = {entry.key for entry in twin.entries(EntryQuery(position_until=two.position))}
    for cursor in twin.cursors(CursorQuery(reserved=True)):
        if cursor.key not in archived:
            assert list(pruned.history(cursor.key)) == list(twin.history(cursor.key))
        else:
            with pytest.raises(ArchivedError, match=f"entries of {cursor.key} up to position"):
                list(pruned.history(cursor.key))
            [newest] = pruned_newest(pruned, cursor.key) or [None]
            assert newest is None or newest == pruned_newest(twin, cursor.key)[0]


def pruned_newest(book: Ledger, key: CursorKey) -> list[Any]:
    try:
        return list(book.entries(EntryQuery(key=key, newest_first=True, limit=1)))
    except ArchivedError:
        return []


def test_moves_are_the_same_or_archived(two: TwoLedgers, books: tuple[Ledger, Ledger]) -> None:
    pruned, twin = books
    found: Counter[str] = Counter()
    for cursor in twin.cursors(CursorQuery(reserved=True)):
        for version in range(1, cursor.version + 2):
            expected = twin.moves([(cursor.key, version)])
            try:
                assert pruned.moves([(cursor.key, version)]) == expected, (cursor.key, version)
                found["answered"] += 1
            except ArchivedError:
                found["archived"] += 1
        # Where it stands, its last move is known, however long ago it was.
        last = [(cursor.key, cursor.version)]
        assert pruned.moves(last) == twin.moves(last)
    assert found["answered"] > 5, found
    assert found["archived"] or two.done.cut.archive.head.entries < 3


def test_cursors_are_the_same(books: tuple[Ledger, Ledger]) -> None:
    pruned, twin = books
    every = CursorQuery(reserved=True)
    assert list(pruned.cursors(every)) == list(twin.cursors(every))
    assert pruned.horizon() == twin.horizon()


def test_evidence_is_the_same(
    two: TwoLedgers, books: tuple[Ledger, Ledger], tmp_path: Path
) -> None:
    pruned, twin = books
    assert pruned.checkpoint() == twin.checkpoint()
    folder = two.pruned.parent
    note = pruned.sign(folder / "key")
    for old in two.notes:
        assert pruned.prove_growth(old, note) == twin.prove_growth(old, note)
        kept = ledger.TreeHead.opened(old, [two.key]).checkpoint
        assert pruned.verify(kept).against[0].standing == "kept"
    for entry in twin.entries():
        if entry.position > two.position:
            proof = pruned.prove(entry.position, note)
            assert proof == twin.prove(entry.position, note)
            assert proof.verify([two.key]).entry.digest == entry.digest
        else:
            with pytest.raises(ArchivedError):
                pruned.prove(entry.position, note)
    left = EntryQuery(position_from=two.position + 1)
    assert list(pruned.evidence(note, left)) == list(twin.evidence(note, left))
    assert list(pruned.tiles(note)) == list(twin.tiles(note))
    with pytest.raises(ArchivedError):
        list(pruned.evidence(note))
    with pytest.raises(ArchivedError):
        pruned.archive(note, tmp_path / "second.jsonl", [two.key])
    assert not list(tmp_path.iterdir())


def test_it_is_verified_and_says_what_it_has_not_read(
    two: TwoLedgers, books: tuple[Ledger, Ledger]
) -> None:
    pruned, twin = books
    found, whole = pruned.verify(), twin.verify()
    assert found.ok, found.faults
    assert found.archived == two.done.cut.archive.head.entries
    assert whole.archived == 0
    assert found.entries == whole.entries - found.archived
    assert found.checkpoint == whole.checkpoint
    assert pruned.rebuild().repaired == ()
    said = CliRunner().invoke(main, ["--db", str(two.pruned), "verify", "--table"]).stdout
    assert f"{found.archived} entr" in said
    assert "were archived and removed" in said


def test_what_is_new_is_not_verified_alone(two: TwoLedgers, books: tuple[Ledger, Ledger]) -> None:
    pruned, twin = books
    kept = ledger.TreeHead.opened(two.notes[1], [two.key]).checkpoint
    for book, archived in ((pruned, two.done.cut.archive.head.entries), (twin, 0)):
        found = book.verify(since=kept)
        assert found.ok, found.faults
        assert found.archived == archived
        assert found.against[0].standing == "kept"
    assert pruned.verify(since=kept).partial is None


COMMANDS: list[list[str]] = [
    ["policy", "list"],
    *(["show", str(key)] for key in (ORDERS, IDLE)),
    *(["history", str(key)] for key in KEYS[:5]),
    *(["describe", str(key)] for key in KEYS[:5]),
    *(["explain", str(key), str(n)] for key in (ORDERS, IDLE, NEW) for n in (1, 3, 35, 41, 43)),
    *(["blame", str(key), "1..44"] for key in (ORDERS, NEW)),
    *(["timeline", str(key)] for key in (ORDERS, NEW)),
    *([name, str(key)] for name in ("gaps", "repeats") for key in (ORDERS, NEW)),
    *([name] for name in ("list", "entries", "gaps", "repeats", "stalls", "resets", "lag")),
    *([name] for name in ("heads", "status", "checkpoint", "export", "tail")),
    *(["tail", "--lines", str(n)] for n in (1, 3)),
    *(["as-of", moment] for moment in ("2026-05-05T16:03:00Z", "2026-05-05T17:00:00Z")),
    *(["diff", "2026-05-05T16:03:00Z"], ["diff", "2026-05-05T17:00:00Z"]),
    *(["events", "orders"], ["events", "clicks", "0"], ["entries", "--consumer", "new"]),
    *(["entries", "--newest-first", "-n", "2"], ["list", "--sort", "behind"]),
    *(["resets", "--since", "2026-05-05T17:00:00Z"], ["resets", "--takeovers"]),
    *(["reset", str(ORDERS), "--to", "1", "--reason", "x"], ["reset", str(NEW), "--to", "1"]),
    ["entries", "--kind", "reset"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_says_the_same_or_that_entries_are_archived(
    two: TwoLedgers, command: list[str]
) -> None:
    results = []
    for place in (two.pruned, two.twin):
        done = CliRunner().invoke(main, ["--db", str(place), "--actor", "x", *command])
        results.append((done.exit_code, done.stdout.replace(str(place), "PLACE"), done.stderr))
    (code, said, told), (expected_code, expected, _) = results
    if code == 3 and expected_code != 3:
        assert "were archived in a.jsonl" in " ".join(told.split()), told
        # What was printed before is true; a list that is cut off is none.
        assert not said or expected.startswith(said), said
    else:
        assert (code, without_ages(said)) == (expected_code, without_ages(expected)), told


def without_ages(text: str) -> str:
    """Leave out what time it is."""
    return re.sub(r'"(age_s|idle_s|for_s|taken_at)":("[^"]*"|[0-9.]+)', "", text)


def test_most_commands_answer_for_what_is_left(two: TwoLedgers) -> None:
    answered = 0
    for command in COMMANDS:
        done = CliRunner().invoke(main, ["--db", str(two.pruned), "--actor", "x", *command])
        answered += done.exit_code == 0
    assert answered >= (5 if two.done.cut.first is None else 20)


def test_life_goes_on(tmp_path: Path) -> None:
    two = two_ledgers(tmp_path, 2)
    with ledger.open(two.pruned, actor="tester") as book:
        before = book.get(ORDERS)
        with pytest.raises(ledger.NonMonotonicCursorError):
            book.advance(IDLE, to=40)
        assert book.advance(IDLE, to=42).version == 2
        with pytest.raises(ledger.StaleEpochError):
            book.advance(ORDERS, to=60, epoch=before.epoch - 1)
        with book.consumer(IDLE) as consumer, consumer.delivering(43):
            pass
        assert book.get(IDLE).last_sequence == 43
        # Whether somebody took it over is looked for behind the epoch, where nothing is left.
        with book.consumer(IDLE) as consumer:
            book.reset(IDLE, to=40, reason="again")
            with pytest.raises(ledger.StaleEpochError), consumer.delivering(44):
                pass
        found = book.verify()
        assert found.ok, found.faults
        with ledger.open(tmp_path / "copy.db") as copy, pytest.raises(ArchivedError):
            book.copy_to(copy)
