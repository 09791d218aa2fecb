"""What is kept of an exception that a delivery raised."""

from __future__ import annotations

from contextlib import suppress

__all__ = ["described", "note_unrecorded"]


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
