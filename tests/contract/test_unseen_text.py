"""A reader sees who did what to which cursor, and why; older entries stay readable."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

import ledger
from ledger import (
    AdvanceCursor,
    CursorKey,
    CursorQuery,
    Entry,
    EntryQuery,
    InvalidCursorError,
    Ledger,
    RecordError,
    ResetCursor,
    StartCursor,
)
from ledger.law import fields
from ledger.log import rows
from ledger.log.json import structure, unstructure
from support.cursors import JOBS, ORDERS
from support.targets import new_target

UNSEEN = [
    "\u200b",  # zero-width space
    "\u200c\u200d\u2060\ufeff",  # joiners
    "\u202e\u202c\u2066\u2069",  # bidirectional controls
    "\u115f",
    "\u1160",
    "\u3164",
    "\uffa0",  # fillers of Hangul
    "\u2800",  # blank Braille
    "\u2800 \u2800",
    "\u0301",
    "\u20dd",
    "\u034f",  # lone marks
    "\U000e0001\U000e0041",  # tags
    "\ufe0f",
    "\U000e0100",
    "\u180e",  # variation selectors
    "\u00ad",  # soft hyphen
    "\u17b4\u17b5",  # inherent vowels of Khmer
    "\U0001d159",
    "\U0001d173",  # a note without a head; a beam begins
    "\x01",
    "\x1b\x7f\x85",  # controls
    "\ue000",
    "\U000f0000",  # private use
    "\ufffe",
    "\U0010ffff",  # noncharacters
    "\u0378",  # not assigned
]
SEEN = [
    "a",
    "7",
    "-",
    "…",
    "é",
    "e\u0301",
    "消",
    "🙂",
    "\u200ba",
    "ㅎ",
    "م",
    "⠁",
    "\ufffd",
    "\u00adx",
]


def makers(text: str) -> list[Callable[[], Any]]:
    return [
        lambda: CursorKey(text, "orders"),
        lambda: CursorKey("mailer", text),
        lambda: CursorKey("mailer", "orders", text),
        lambda: AdvanceCursor(JOBS, 1, actor=text),
        lambda: AdvanceCursor(JOBS, 1, metadata={text: "x"}),
        lambda: RecordError(JOBS, "boom", actor=text),
        lambda: ResetCursor(JOBS, 0, text),
        lambda: StartCursor(JOBS, 0, text),
        lambda: StartCursor(JOBS, 0, "why", source=text),
        lambda: ledger.open(":memory:", actor=text).close(),
    ]


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
def test_what_nobody_can_see_is_refused_and_the_refusal_spells_it_out(text: str) -> None:
    for make in makers(text):
        with pytest.raises(InvalidCursorError, match="no character that can be seen") as caught:
            make()
        assert str(caught.value).isascii()


@pytest.mark.parametrize("text", SEEN, ids=ascii)
def test_one_character_that_can_be_seen_is_enough(text: str) -> None:
    for make in makers(text):
        assert make() or True


@pytest.mark.slow("it tries every character there is")
def test_no_character_that_unicode_ignores_by_default_counts_as_seen() -> None:
    ignored = [0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0]
    for first, last in (
        (0x180B, 0x180F),
        (0x200B, 0x200F),
        (0x202A, 0x202E),
        (0x2060, 0x206F),
        (0xFE00, 0xFE0F),
        (0xFFF0, 0xFFF8),
        (0x1BCA0, 0x1BCA3),
        (0x1D173, 0x1D17A),
        (0xE0000, 0xE0FFF),
    ):
        ignored += range(first, last + 1)
    assert not fields.is_seen("".join(map(chr, ignored)))
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] in "MZC":
            assert not fields.is_seen(chr(code))


def test_what_need_not_be_given_may_be_left_out(book: Ledger) -> None:
    assert CursorKey("a", "b", " ").subject_id == ""
    assert AdvanceCursor(JOBS, 1, actor="", metadata={"a": "\u200b"}).actor == ""
    assert CursorQuery(consumer_id="\u200b").consumer_id == "\u200b"
    assert EntryQuery(actor="\u200b").actor == "\u200b"
    assert book.advance(JOBS, to=1, delivery_id="\u200b").last_delivery_id == "\u200b"


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
def test_an_error_that_nobody_can_see_is_kept_spelled_out(book: Ledger, text: str) -> None:
    kept = book.record_error(JOBS, text).last_error
    assert kept == text.encode("unicode_escape").decode()
    assert book.record_error(JOBS, "x" + text).last_error.startswith("x")


def test_a_long_error_that_nobody_can_see_is_cut() -> None:
    kept = RecordError(JOBS, "\u200b" * 5_000).last_error
    assert (len(kept), kept[:12], kept[-1]) == (2_048, r"\u200b\u200b", "…")
    # Of what is behind the part that is kept nothing is seen, and so it does not count.
    for behind in (10_000, 1_000_000):
        long = RecordError(JOBS, "\u200b" * behind + "seen").last_error
        assert (len(long), long[:12], long[-1]) == (2_048, r"\u200b\u200b", "…")
    for blank in ("", " ", "\n\u2003"):
        with pytest.raises(InvalidCursorError):
            RecordError(JOBS, blank)


# --- a ledger that an earlier version wrote ---


def written_before(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> CursorKey:
    """Append as a version did that looked at no character."""
    with monkeypatch.context() as before:
        before.setattr(fields, "is_seen", lambda _: True)
        key = CursorKey("\u200b", "\u2800", "\u3164")
        book.advance(key, to=5, actor="\u202e", metadata={"\u200b": "x"})
        book.reset(key, to=2, reason="\u00ad", actor="\u202e")
        book.record_error(key, "\u200b")
        book.advance(ORDERS, to=1)
    return key


def test_what_an_earlier_version_wrote_is_read_verified_copied_and_gone_on_with(
    book: Ledger, kind: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = written_before(book, monkeypatch)
    with pytest.raises(InvalidCursorError):
        CursorKey("\u200b", "\u2800", "\u3164")
    rows._key.cache_clear()
    assert book.verify().ok
    entries = [entry for entry in book.entries() if entry.key != ORDERS]
    assert [entry.key for entry in entries] == [key] * 3
    assert entries[0].metadata == {"\u200b": "x"}
    assert [entry.actor for entry in entries[:2]] == ["\u202e"] * 2
    [cursor] = book.cursors(CursorQuery(consumer_id="\u200b"))
    assert list(book.entries(EntryQuery(actor="\u202e"))) == entries[:2]
    for value in (cursor, *entries):
        plain = json.loads(json.dumps(unstructure(value)))
        assert structure(plain, Entry if isinstance(value, Entry) else ledger.Cursor) == value
    # The cursor is at hand, so what is to become of it can be said.
    assert book.reset(cursor.key, to=0, reason="nobody could see it", actor="ines").version == 4
    assert list(book.history(cursor.key))[-1].version == 4
    assert book.get(cursor.key).epoch == 2
    assert book.rebuild().repaired == ()
    with new_target(kind, tmp_path / "copy.db") as target, ledger.open(target) as copy:
        assert book.copy_to(copy).entries == 5
        assert copy.verify().ok
        assert list(copy.history(cursor.key)) == list(book.history(cursor.key))
