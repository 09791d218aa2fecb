"""Positions that are not integers from 1, as sequences and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import AdvanceCursor, CursorKey, InvalidCursorError, ResetCursor
from ledger.law.fields import SEQUENCE_MAX
from ledger.log.json import structure
from ledger.positions import (
    PositionMapping,
    confirmed_offset_of,
    lsn_of,
    next_offset_of,
    sequence_of_confirmed_offset,
    sequence_of_lsn,
    sequence_of_next_offset,
)

KEY = CursorKey("webhooks", "orders")
sequences = st.integers(0, SEQUENCE_MAX) | st.sampled_from(
    [0, 1, 2**32 - 1, 2**32, 2**53 + 1, SEQUENCE_MAX]
)


# --- offsets ---


@given(offset=st.integers(0, SEQUENCE_MAX - 1))
def test_a_confirmed_offset_comes_back(offset: int) -> None:
    sequence = sequence_of_confirmed_offset(offset)
    assert sequence == offset + 1
    assert confirmed_offset_of(sequence) == offset
    # What Kafka commits for it is the one behind it.
    assert next_offset_of(sequence) == offset + 1


@given(sequence=sequences)
def test_a_next_offset_comes_back(sequence: int) -> None:
    assert sequence_of_next_offset(next_offset_of(sequence)) == sequence


def test_the_first_offset_is_the_first_sequence() -> None:
    assert sequence_of_confirmed_offset(0) == 1
    assert AdvanceCursor(KEY, sequence_of_confirmed_offset(0)).last_sequence == 1
    assert sequence_of_next_offset(0) == 0, "nothing is confirmed"


# --- LSNs ---


@given(sequence=sequences)
def test_an_lsn_comes_back_in_its_own_spelling(sequence: int) -> None:
    said = lsn_of(sequence)
    assert sequence_of_lsn(said) == sequence
    assert sequence_of_lsn(said.lower()) == sequence
    assert lsn_of(sequence_of_lsn(said.lower())) == said
    high, low = said.split("/")
    assert sequence_of_lsn(f"{high:0>8}/{low:0>8}") == sequence


@given(one=sequences, other=sequences)
def test_lsns_have_the_order_of_their_sequences(one: int, other: int) -> None:
    parts = [tuple(int(half, 16) for half in lsn_of(each).split("/")) for each in (one, other)]
    assert (parts[0] < parts[1]) == (one < other)


@pytest.mark.parametrize(
    ("lsn", "sequence"),
    [
        ("0/0", 0),
        ("0/1", 1),
        ("0/16B3748", 23803720),
        ("16/B374D848", 0x16_B374D848),
        ("7FFFFFFF/FFFFFFFF", SEQUENCE_MAX),
    ],
)
def test_lsns_that_are_known(lsn: str, sequence: int) -> None:
    assert (sequence_of_lsn(lsn), lsn_of(sequence)) == (sequence, lsn)


@pytest.mark.parametrize("lsn", ["80000000/0", "FFFFFFFF/FFFFFFFF", "ffffffff/0"])
def test_an_lsn_of_64_bits_is_refused(lsn: str) -> None:
    with pytest.raises(InvalidCursorError, match="at most 7FFFFFFF/FFFFFFFF") as refused:
        sequence_of_lsn(lsn)
    assert (refused.value.field, refused.value.value) == ("lsn", repr(lsn))
    assert refused.value.bound == SEQUENCE_MAX


@pytest.mark.parametrize(
    "lsn",
    ["", "/", "0", "0/", "/0", "0/0/0", " 0/0", "0/0\n", "0x0/0", "0/G", "-1/0", "+0/0", "0_0/0",
     "000000000/0", "0/000000000", "٠/٠", "０/０", "0／0", "a" * 1_000_000],
)  # fmt: skip
def test_what_is_no_lsn_is_refused(lsn: str) -> None:
    with pytest.raises(InvalidCursorError) as refused:
        sequence_of_lsn(lsn)
    assert refused.value.field == "lsn"
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("value", [None, 7, b"0/0", 0.5, ["0/0"]])
def test_an_lsn_is_text(value: Any) -> None:
    with pytest.raises(InvalidCursorError, match="lsn must be text"):
        sequence_of_lsn(value)


@pytest.mark.parametrize(
    ("convert", "value", "field", "bound"),
    [
        (sequence_of_confirmed_offset, -1, "confirmed_offset", 0),
        (sequence_of_confirmed_offset, SEQUENCE_MAX, "confirmed_offset", SEQUENCE_MAX - 1),
        (sequence_of_confirmed_offset, 2**64, "confirmed_offset", SEQUENCE_MAX),
        (sequence_of_confirmed_offset, "7", "confirmed_offset", None),
        (sequence_of_confirmed_offset, True, "confirmed_offset", None),
        (sequence_of_confirmed_offset, 7.0, "confirmed_offset", None),
        (sequence_of_next_offset, -1, "next_offset", 0),
        (sequence_of_next_offset, 2**63, "next_offset", SEQUENCE_MAX),
        (confirmed_offset_of, 0, "sequence", 1),
        (next_offset_of, -1, "sequence", 0),
        (lsn_of, -1, "sequence", 0),
        (lsn_of, 2**63, "sequence", SEQUENCE_MAX),
        (lsn_of, "0/0", "sequence", None),
    ],
)
def test_a_number_out_of_range_is_refused_with_its_facts(
    convert: Callable[[Any], object], value: Any, field: str, bound: int | None
) -> None:
    with pytest.raises(InvalidCursorError) as refused:
        convert(value)
    assert (refused.value.field, refused.value.bound) == (field, bound)


# --- words ---


@given(
    mapping=st.sampled_from([PositionMapping.ZERO_BASED, PositionMapping.LSN]), sequence=sequences
)
def test_a_word_comes_back(mapping: PositionMapping, sequence: int) -> None:
    assert mapping.sequence_of(mapping.word_of(sequence)) == sequence


@given(mapping=st.sampled_from(PositionMapping), sequence=sequences)
def test_a_number_is_a_sequence_in_every_mapping(mapping: PositionMapping, sequence: int) -> None:
    assert mapping.sequence_of(str(sequence)) == sequence


@given(mapping=st.sampled_from(PositionMapping), text=st.text())
def test_any_other_word_is_refused_or_is_one(mapping: PositionMapping, text: str) -> None:
    try:
        sequence = mapping.sequence_of(text)
    except InvalidCursorError as error:
        assert error.field in ("position", "lsn", "next_offset", "confirmed_offset")
    else:
        assert 0 <= sequence <= SEQUENCE_MAX


@pytest.mark.parametrize(
    ("mapping", "word"),
    [
        ("plain", "offset:3"),
        ("lsn", "offset:3"),
        ("zero-based", "lsn:0/3"),
        ("zero-based", "offset: 3"),
        ("zero-based", "offset:-1"),
        ("zero-based", "offset:٣"),
        ("zero-based", "Offset:3"),
        ("zero-based", "offset"),
        ("zero-based", "0/3"),
        ("lsn", "0/3"),
        ("tokens", "token:evt_9a"),
        ("tokens", "evt_9a"),
        ("zero-based", "9" * 5_000),
        ("zero-based", "offset:" + "9" * 5_000),
    ],
)
def test_a_word_of_another_mapping_is_refused(mapping: str, word: str) -> None:
    with pytest.raises(InvalidCursorError) as refused:
        PositionMapping.of(mapping).sequence_of(word)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("mapping", "sequence", "token", "word", "shown"),
    [
        ("plain", 44, "evt_9a", "", ""),
        ("zero-based", 44, "msg-44", "offset:43", "offset 43"),
        ("zero-based", 0, "", "next-offset:0", "before offset 0"),
        ("lsn", 23803720, "", "lsn:0/16B3748", "0/16B3748"),
        ("lsn", 0, "", "lsn:0/0", "0/0"),
        ("tokens", 3, "evt_9a", "token:evt_9a", "evt_9a"),
        ("tokens", 3, "a:b", "token:a:b", "a:b"),
        ("tokens", 3, "", "", ""),
    ],
)
def test_what_a_sequence_is_called(
    mapping: str, sequence: int, token: str, word: str, shown: str
) -> None:
    kept = PositionMapping.of(mapping)
    assert (kept.word_of(sequence, token), kept.shown(sequence, token)) == (word, shown)


@pytest.mark.parametrize("value", ["", "Plain", "kafka", "lsn ", None, 7])
def test_a_mapping_has_one_of_four_names(value: Any) -> None:
    with pytest.raises(InvalidCursorError) as refused:
        PositionMapping.of(value)
    assert refused.value.field == "mapping"


# --- what the refusal of a sequence says ---


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "offset k is sequence k + 1"),
        ("0/16B3748", "an LSN of PostgreSQL"),
        ("FFFFFFFF/16b3748", "an LSN of PostgreSQL"),
        (2**63, "to=ledger.NEXT"),
        (2**127, "to=ledger.NEXT"),
        (int("49590338271490256608559692538361571095921575989136588898"), "to=ledger.NEXT"),
        ("49590338271490256608559692538361571095921575989136588898", "to=ledger.NEXT"),
        ("1526919030474-55", "to=ledger.NEXT"),
        ("evt_1NG8Du2eZvKYlo2CUI79vXWy", "to=ledger.NEXT"),
        (b"\x82\x63", "to=ledger.NEXT"),
        ("41", "Make an integer of it"),
        (41.0, "A float is not exact"),
        (float("nan"), "A float is not exact"),
    ],
)
def test_a_refusal_says_what_to_do_with_another_position(value: Any, said: str) -> None:
    with pytest.raises(InvalidCursorError) as refused:
        AdvanceCursor(KEY, value)
    assert refused.value.field == "last_sequence"
    assert said in str(refused.value)
    assert said in str(refused.value.problem)
    if isinstance(value, str):
        key = {"consumer_id": "webhooks", "stream_name": "orders"}
        with pytest.raises(InvalidCursorError) as read:
            structure({"key": key, "last_sequence": value}, AdvanceCursor)
        assert str(read.value) == str(refused.value), "in JSON as well"


@pytest.mark.parametrize("value", [-1, True, None, [41]])
def test_a_refusal_says_no_more_where_there_is_no_more(value: Any) -> None:
    with pytest.raises(InvalidCursorError) as refused:
        AdvanceCursor(KEY, value)
    assert "ledger." not in str(refused.value)


def test_the_ledger_s_own_numbers_are_no_positions() -> None:
    for refused in (
        lambda: AdvanceCursor(KEY, 1, epoch="0/0"),  # type: ignore[arg-type]
        lambda: ResetCursor(KEY, 1, "why", expected_version=2**63),
    ):
        with pytest.raises(InvalidCursorError) as caught:
            refused()
        assert str(caught.value).endswith(("not a str.", "not 9223372036854775808."))
