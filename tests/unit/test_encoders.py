"""orjson, where it is installed, changes how long a digest takes and no bit of it."""

from __future__ import annotations

import math
import sys

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger import Ledger
from ledger.evidence.digests import digest_of, digest_of_unread
from ledger.log import flat as encoders
from ledger.log.flat import dumps_flat
from ledger.log.text import dumps
from support.clock import Clock
from support.cursors import fill

# With lone surrogates, which a database can hold and UTF-8 cannot.
texts = st.text(st.characters(exclude_categories=()), max_size=40)
numbers = st.integers() | st.integers(2**63 - 2, 2**64 + 2) | st.integers(-(2**63) - 2, -(2**63))
flat = st.none() | texts | numbers | st.dictionaries(texts, texts, max_size=4)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode as without orjson."""
    monkeypatch.setattr(encoders, "_fast", None)


def by_either(values: list[encoders.Flat]) -> tuple[object, object]:
    """Return what comes of `values` with orjson, and without it."""
    assert encoders._fast is orjson.dumps, "orjson is not used"
    found: list[object] = []
    for fast in (orjson.dumps, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoders, "_fast", fast)
            try:
                found.append(dumps_flat(values))
            except UnicodeEncodeError as error:
                found.append(str(error))
    return found[0], found[1]


@given(st.lists(flat, max_size=20))
@example(["\x00\x08\x0b\x0c\x1f\x7f\x80\x85", '"\\/', "\u2028\u2029", "\U0001f600", ""])
@example([2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1])
@example(["\ud800"])
@example([{"\udfff": ""}])
def test_the_bytes_and_the_refusals_are_the_same(values: list[encoders.Flat]) -> None:
    fast, own = by_either(values)
    assert fast == own


@pytest.mark.slow("it tries every character there is")
def test_every_character_is_written_the_same() -> None:
    for first in range(0, sys.maxunicode + 1, 0x1000):
        block = [chr(code) for code in range(first, first + 0x1000) if not 0xD800 <= code < 0xE000]
        fast, own = by_either([*block, {character: character for character in block}])
        assert fast == own


@given(texts, numbers)
def test_a_digest_is_the_same(said: str, number: int) -> None:
    content = (
        *("webhooks", "orders", said, 1, 0, number, said, None, "cursor.error.v1"),
        *(None, None, None, None, None, None, said, number),
    )
    found = []
    for fast in (orjson.dumps, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoders, "_fast", fast)
            try:
                found.append(digest_of(bytes(32), content))
            except UnicodeEncodeError as error:
                found.append(str(error).encode())
    assert found[0] == found[1]
    if len(found[0]) == 32:
        assert digest_of_unread(bytes(32), content) == found[0]


@pytest.mark.usefixtures("plain")
def test_a_log_that_was_written_with_orjson_is_verified_without(
    book: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "_fast", orjson.dumps)
    fill(book, clock)
    monkeypatch.setattr(encoders, "_fast", None)
    assert book.verify().ok
    book.advance(next(book.cursors()).key, to=99, delivery_id="\u2028\x7f\U0001f600")
    monkeypatch.setattr(encoders, "_fast", orjson.dumps)
    assert book.verify().ok


def test_what_orjson_writes_otherwise_does_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert orjson.dumps(math.nan) == b"null"
    monkeypatch.setattr(encoders, "_fast", lambda _: pytest.fail("it was asked for a float"))
    # Somebody may put one into a column; what is said of its digest is the same everywhere.
    for number, metadata in ((math.nan, None), (1, '{"n": NaN}')):
        content = ("c", "s", "", 1, 0, number, "", metadata, "t", *[None] * 6, "x", 0)
        with pytest.raises(ValueError, match="not JSON compliant"):
            digest_of_unread(bytes(32), content)


def test_an_orjson_that_writes_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert encoders._fast_encoder() is orjson.dumps
    monkeypatch.setattr(orjson, "dumps", lambda values: dumps(values).upper().encode())
    assert encoders._fast_encoder() is None


def test_orjson_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "orjson", None)
    assert encoders._fast_encoder() is None
