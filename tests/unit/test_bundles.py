"""Bundles of evidence in a program: what they hold, what is refused, and what they cost."""

from __future__ import annotations

import asyncio
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ledger
import ledger.aio
from ledger import (
    AdvanceCursor,
    CursorKey,
    EntryQuery,
    EvidenceKind,
    InvalidCursorError,
    Ledger,
    UnprovenError,
    verify_evidence,
)
from ledger.evidence.blocks import BLOCK_LEAVES, Block, Blocks
from ledger.evidence.bundles import LINE_BYTES_MAX
from ledger.evidence.merkle import checkpoint_over
from ledger.evidence.paths import inclusion_ranges, is_included, leaf_hash, roots_of
from support.bundles import NAME, Evidence, evidence, parsed
from support.cursors import JOBS, ORDERS
from support.depth import thorough
from support.falsified_files import edited
from support.histories import KEYS, requests, steps, written


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return evidence(tmp_path_factory.mktemp("operator"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    ledger.make_key(tmp_path / "key", NAME)
    return tmp_path / "key"


@pytest.fixture
def open_book() -> Iterator[Ledger]:
    with ledger.open(":memory:", actor="tester") as book:
        yield book


# --- paths ---


@pytest.mark.parametrize(
    "size", [1, 2, 3, 7, 1_023, 1_024, 1_025, 2_047, 2_048, 2_049, 3_333, 5_120]
)
def test_the_path_of_a_leaf_is_that_of_the_tree(size: int) -> None:
    digests = [leaf_hash(b"%d" % n) for n in range(size)]
    leaves = [(n + 1, digest) for n, digest in enumerate(digests)]
    blocks = Blocks.over(leaves)
    assert blocks.root == checkpoint_over(leaves).root
    for index in {0, 1, size // 3, size // 2, 1_023, 1_024, size - 2, size - 1} & {*range(size)}:
        number = blocks.number_of(index + 1)
        begins = number * BLOCK_LEAVES
        block = Block.of(begins, digests[begins : begins + BLOCK_LEAVES])
        assert blocks.is_of(block)
        path = blocks.path(block, index - begins)
        assert list(path) == roots_of(leaves, inclusion_ranges(index, size))
        assert is_included(index, size, leaf_hash(digests[index]), path, blocks.root)


# --- what a bundle holds ---


@settings(max_examples=thorough(100, 6))
@given(st.lists(st.tuples(requests(KEYS, takeovers=True), steps), min_size=1), st.data())
def test_a_bundle_of_any_history_proves_it(asked: list[object], data: st.DataObject) -> None:
    signing = ledger.SigningKey(NAME, bytes(32))
    with written(asked) as book:  # type: ignore[arg-type]
        entries = list(book.entries())
        kept = book.checkpoint()
        note = signing.sign(ledger.TreeHead(NAME, kept.entries, kept.root).text)
        complete = list(book.evidence(note))
        proved = verify_evidence(complete, [signing.verifier])
        assert [each.entry.digest for each in proved.entries()] == [each.digest for each in entries]
        assert [each.entry.event for each in proved.entries()] == [each.event for each in entries]
        assert list(proved.cursors) == list(dict.fromkeys(each.key for each in entries))
        if not entries:
            return
        chosen = data.draw(
            st.sets(st.sampled_from([each.position for each in entries]), min_size=1)
        )
        query = EntryQuery(positions=chosen)
        some = verify_evidence(list(book.evidence(note, query)), [signing.verifier])
        assert [each.entry.digest for each in some.entries()] == [
            each.digest for each in entries if each.position in chosen
        ]


def test_what_is_proved_names_the_note_the_kind_and_the_cursors(made: Evidence) -> None:
    proved = verify_evidence(made.complete, [made.vkey], origin=NAME, since=made.old)
    assert (proved.kind, proved.listed) == (EvidenceKind.COMPLETE, 13)
    assert (proved.head.origin, proved.head.entries) == (NAME, 13)
    assert proved.since is not None
    assert proved.since.entries == 7
    assert proved.cursors == (ORDERS, JOBS, CursorKey("started", "orders"))
    proved = verify_evidence(made.selected, [made.vkey], since=made.old.encode())
    assert (proved.kind, proved.listed) == (EvidenceKind.SELECTED, 9)
    assert proved.cursors == (ORDERS,)
    assert proved.since is not None
    assert [each.index for each in proved.entries()] == [0, 1, 2, 3, 6, 8, 9, 10, 11]


def test_each_line_is_one_json_value_and_has_the_text_that_is_digested(made: Evidence) -> None:
    for lines in (made.complete, made.selected):
        first, *entries, last = (json.loads(line) for line in lines)
        assert first["format"] == "cursor-ledger-evidence/1"
        assert last == {"end": len(entries)}
        assert [entry["entry"][0] for entry in entries] == ["cursor-ledger/1"] * len(entries)
    assert "Grüße \u2028" in json.loads(made.complete[9])["entry"][8]["name"]


@pytest.mark.slow("it reads many bundles")
def test_many_blocks_and_few_chosen_entries(open_book: Ledger, key: Path) -> None:
    open_book.append([AdvanceCursor(CursorKey("bulk", "orders"), n) for n in range(1, 2_500)])
    open_book.append([AdvanceCursor(CursorKey("rare", "orders"), n) for n in range(1, 4)])
    open_book.append([AdvanceCursor(CursorKey("bulk", "orders"), n) for n in range(2_500, 4_000)])
    note = open_book.sign(key)
    vkey = ledger.VerifierKey.parse(key_text(key))
    for query in (
        EntryQuery(consumer_id="rare"),
        EntryQuery(positions=[1, 1_024, 1_025, 2_048, 2_049, 4_002]),
        EntryQuery(consumer_id="bulk", limit=2_000),
        EntryQuery(position_from=2_000, position_until=2_100),
    ):
        proved = verify_evidence(list(open_book.evidence(note, query)), [vkey])
        assert [each.entry.digest for each in proved.entries()] == [
            each.digest for each in open_book.entries(query)
        ]


def test_what_comes_after_the_note_is_left_out(open_book: Ledger, key: Path) -> None:
    open_book.advance(ORDERS, to=1)
    note = open_book.sign(key)
    open_book.advance(ORDERS, to=2)
    vkey = ledger.VerifierKey.parse(key_text(key))
    assert verify_evidence(list(open_book.evidence(note)), [vkey]).listed == 1
    some = list(open_book.evidence(note, EntryQuery(key=ORDERS)))
    assert verify_evidence(some, [vkey]).listed == 1
    with pytest.raises(InvalidCursorError, match="none of the entries under the note is chosen"):
        list(open_book.evidence(note, EntryQuery(position_from=2)))


def key_text(key: Path) -> str:
    return ledger.SigningKey.parse(key.read_text()).verifier.text


# --- what is refused ---


def test_a_note_of_another_ledger_is_refused_before_a_line_is_made(
    open_book: Ledger, key: Path
) -> None:
    open_book.advance(ORDERS, to=1)
    with ledger.open(":memory:") as other:
        other.advance(JOBS, to=1)
        note = other.sign(key)
    for query in (None, EntryQuery(key=ORDERS)):
        with pytest.raises(UnprovenError, match="of another ledger, or entries were changed"):
            next(open_book.evidence(note, query))


def test_a_wrong_argument_is_refused_when_it_is_given(open_book: Ledger, key: Path) -> None:
    note = open_book.sign(key)
    for arguments, said in (
        ((note, "webhooks"), "query must be EntryQuery, not a str"),
        ((note, EntryQuery(newest_first=True)), "oldest first"),
    ):
        with pytest.raises(InvalidCursorError, match=said):
            open_book.evidence(*arguments)
    with pytest.raises(InvalidCursorError, match="since is of use with a query"):
        open_book.evidence(note, since=note)
    with pytest.raises(UnprovenError):
        open_book.evidence("no note")
    with pytest.raises(UnprovenError):
        open_book.evidence(note, EntryQuery(key=ORDERS), since="no note")


def test_lines_that_are_text_are_refused_and_say_how_to_open_a_file(made: Evidence) -> None:
    with pytest.raises(InvalidCursorError, match="open the file as 'rb'"):
        verify_evidence(io.StringIO(made.complete[0].decode()), [made.vkey])  # type: ignore[arg-type]


def test_lines_that_can_be_read_once_prove_and_list_nothing(made: Evidence) -> None:
    proved = verify_evidence(iter(made.complete), [made.vkey])
    assert proved.listed == 13
    with pytest.raises(InvalidCursorError, match="can be read once only"):
        next(proved.entries())


def test_a_file_that_changes_after_it_was_verified_is_not_listed_to_its_end(made: Evidence) -> None:
    file = io.BytesIO(b"".join(made.complete))
    proved = verify_evidence(file, [made.vkey])
    assert len(list(proved.entries())) == len(list(proved.entries())) == 13
    file.getbuffer()[file.getvalue().index(b"tester")] = ord("x")
    with pytest.raises(UnprovenError, match=r"^line 3: it does not follow"):
        list(proved.entries())


def test_a_file_is_read_from_where_it_stands(made: Evidence) -> None:
    file = io.BytesIO(b"before\n" + b"".join(made.complete))
    file.readline()
    proved = verify_evidence(file, [made.vkey])
    assert len(list(proved.entries())) == 13


def test_a_line_without_an_end_is_never_held_whole(made: Evidence) -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            buffer[:] = b"{" * len(buffer)
            return len(buffer)

    with pytest.raises(UnprovenError, match=r"line 1: it has more than 2,000,000 bytes"):
        verify_evidence(io.BufferedReader(Endless()), [made.vkey])  # type: ignore[type-var]
    assert LINE_BYTES_MAX == 2_000_000


@pytest.mark.slow("it reads many bundles")
@settings(max_examples=thorough(2_000, 80))
@given(st.data())
def test_no_other_text_proves_the_same_and_none_is_a_crash(
    made: Evidence, data: st.DataObject
) -> None:
    lines = data.draw(st.sampled_from([made.complete, made.selected]))
    text = bytearray(b"".join(lines))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "put", "drop", "double", "swap"])):
            case "flip":
                text[place] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del text[place:]
                text += b"\n"
            case "put":
                text[place:place] = data.draw(
                    st.sampled_from([b"\0", b"\r", b"\xef\xbb\xbf", b"9" * 5_000, b"[" * 5_000])
                    | st.binary(min_size=1, max_size=3)
                )
            case "drop":
                del text[place : place + data.draw(st.integers(1, 300))]
                text += b"" if text else b"\n"
            case how:
                each = bytes(text).splitlines(keepends=True) or [b"\n"]
                first = data.draw(st.integers(0, len(each) - 1))
                second = data.draw(st.integers(0, len(each) - 1))
                if how == "double":
                    each.insert(second, each[first])
                else:
                    each[first], each[second] = each[second], each[first]
                text = bytearray(b"".join(each))
    if bytes(text) == b"".join(lines):
        assert verify_evidence(io.BytesIO(text), [made.vkey]).listed == len(lines) - 2
        return
    with pytest.raises(UnprovenError, match=r"^line \d"):
        verify_evidence(io.BytesIO(text), [made.vkey])


def test_entries_that_change_while_they_are_read_are_not_proved(tmp_path: Path, key: Path) -> None:
    path = tmp_path / "cursors.db"
    for query in (None, EntryQuery(consumer_id=ORDERS.consumer_id)):
        path.unlink(missing_ok=True)
        key.with_name("key.signed").unlink()
        key.unlink()
        ledger.make_key(key, NAME)
        with ledger.open(path, actor="tester") as book:
            book.append([AdvanceCursor(ORDERS, n) for n in range(1, 3_000)])
            lines = book.evidence(book.sign(key), query)
            next(lines)
            edited("actor = 'nobody'", 2_900)(path)
            with pytest.raises(ledger.LedgerError):
                list(lines)


# --- what it costs ---


@pytest.mark.slow("it measures memory over long logs")
def test_memory_does_not_grow_with_the_entries(open_book: Ledger, key: Path) -> None:
    peaks = []
    for _ in range(2):
        start = open_book.find(ORDERS)
        at = start.last_sequence if start else 0
        open_book.append([AdvanceCursor(ORDERS, at + n) for n in range(1, 6_000)])
        note = open_book.sign(key)
        vkey = ledger.VerifierKey.parse(key_text(key))
        file = io.BytesIO()
        file.writelines(open_book.evidence(note))
        file.seek(0)
        tracemalloc.start()
        for line in open_book.evidence(note, EntryQuery(key=ORDERS)):
            del line
        for line in open_book.evidence(note):
            del line
        verify_evidence(file, [vkey])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Twice the entries; what is kept of them is one hash and one position for each 1,024.
    assert peaks[1] < peaks[0] * 1.1 + 100_000, peaks


def test_a_coroutine_has_the_same_lines(tmp_path: Path, key: Path) -> None:
    async def main() -> list[bytes]:
        async with ledger.aio.open(tmp_path / "cursors.db", actor="tester") as book:
            await book.advance(ORDERS, to=1)
            note = await book.sign(key)
            return [line async for line in book.evidence(note)]

    lines = asyncio.run(main())
    vkey = ledger.VerifierKey.parse(key_text(key))
    assert verify_evidence(lines, [vkey]).listed == 1
    assert parsed(lines[1]).index == 0
