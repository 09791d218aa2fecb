"""What is kept of an exception that a delivery raised."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import islice

from ledger.errors import LedgerError
from ledger.law import fields
from ledger.law.pairs import EMPTY

__all__ = ["described", "note_left_out", "note_unrecorded", "with_sequence"]


def described(error: BaseException) -> str:
    """Return what is kept of an error, also of one that cannot say what it is."""
    try:
        return f"{type(error).__name__}: {error}".removesuffix(": ")
    except Exception as failure:  # noqa: BLE001 - the text is made by strangers
        kind = type(failure).__name__
        return f"{type(error).__name__}: (its text could not be made: {kind})"


def note_unrecorded(error: BaseException, unrecorded: BaseException) -> None:
    """Note on `error` that it could not be recorded, and why."""
    # An error of somebody else may refuse notes.
    with suppress(Exception):
        error.add_note(f"cursor-ledger could not record this error: {described(unrecorded)}")


def note_left_out(error: BaseException, refusal: BaseException) -> None:
    """Note on `error` that it was recorded without metadata that cannot be kept, and why."""
    with suppress(Exception):
        error.add_note(f"cursor-ledger left out metadata of this error: {described(refusal)}")


def with_sequence(given: object, sequence: int) -> tuple[Mapping[str, str], Exception | None]:
    """Return the metadata of an error: those that are `given`, and which sequence failed.

    If not all of `given` can be kept, those that can are returned, and why the others cannot. If
    there is room for these only, the sequence is left out.
    """
    try:
        whole = fields.metadata(given or EMPTY)
    except Exception as refusal:  # noqa: BLE001 - strangers may have put anything there
        return _keepable(given, {"sequence": str(sequence)}), refusal
    with suppress(LedgerError):
        return fields.metadata({**whole, "sequence": whole.get("sequence", str(sequence))}), None
    return whole, None


def _keepable(given: object, pairs: dict[str, str]) -> Mapping[str, str]:
    """Return `pairs`, and of the first that are `given` those that can be kept with them."""
    with suppress(Exception):
        for name, text in islice(dict(given).items(), fields.METADATA_PAIRS_MAX):  # type: ignore[call-overload]
            with suppress(Exception):
                pairs = dict(fields.metadata({**pairs, name: text}))
    return pairs
