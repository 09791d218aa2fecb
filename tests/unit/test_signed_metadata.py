"""The names of signatures are for those who sign, and what they wrote stays as it is."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

from ledger import (
    NEXT,
    AdvanceCursor,
    ConfirmToken,
    CursorKey,
    InvalidCursorError,
    RecordError,
    ResetCursor,
    StartCursor,
)
from ledger.law.pairs import SignedPairs
from ledger.law.reserved import SIGNATURE

KEY = CursorKey("webhooks", "orders")
REQUESTS: list[Callable[[Mapping[str, str]], Any]] = [
    lambda pairs: AdvanceCursor(KEY, 1, metadata=pairs),
    lambda pairs: ConfirmToken(KEY, "evt_1", after="", metadata=pairs),
    lambda pairs: RecordError(KEY, "HTTP 503", metadata=pairs),
    lambda pairs: ResetCursor(KEY, 1, "lost", metadata=pairs),
    lambda pairs: StartCursor(KEY, 1, "moved", metadata=pairs),
]


@pytest.mark.parametrize("request_of", REQUESTS)
@pytest.mark.parametrize("name", [SIGNATURE, f"{SIGNATURE}-is-of", f" {SIGNATURE}x"])
def test_nobody_else_writes_them(request_of: Callable[[Mapping[str, str]], Any], name: str) -> None:
    with pytest.raises(InvalidCursorError, match="a name under which the ledger keeps signatures"):
        request_of({"ticket": "OPS-7", name: "x"})


def test_names_beside_them_are_free() -> None:
    for name in ("signature", "cursor-ledger/sign", "cursor-ledger/batch"):
        assert ResetCursor(KEY, 1, "lost", metadata={name: "x"}).metadata == {name: "x"}
    assert NEXT is not None


def test_what_was_signed_stays_signed_and_as_it_is() -> None:
    long = "U1NIU0lH" * 300
    request = ResetCursor(KEY, 1, "lost", metadata=SignedPairs({SIGNATURE: long, "a": " b "}))
    for again in (
        attrs.evolve(request, expected_version=3),
        pickle.loads(pickle.dumps(request)),
        copy.deepcopy(request),
    ):
        assert type(again.metadata) is SignedPairs
        assert dict(again.metadata) == {SIGNATURE: long, "a": " b "}
        assert attrs.evolve(again, actor="ines").metadata == request.metadata


def test_a_signature_has_no_more_room_than_the_rest() -> None:
    with pytest.raises(InvalidCursorError, match="at most 4,096 are kept"):
        ResetCursor(KEY, 1, "lost", metadata=SignedPairs({SIGNATURE: "x" * 4_096}))
