"""Checkpoints that were kept in files, one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from ledger.cli.process.hosts import command_name
from ledger.cli.typed.notes import Note
from ledger.errors import InvalidCursorError
from ledger.evidence.merkle import Checkpoint
from ledger.log.text import loads, parse_time

__all__ = ["checkpoints"]

LINE_BYTES_MAX = 4_096


def checkpoints(file: BinaryIO) -> Iterator[tuple[str, Checkpoint]]:
    """Return the checkpoints in a file, one JSON object a line, each with where it stands."""
    number = 0
    while line := file.readline(LINE_BYTES_MAX):
        number += 1
        if line.strip():
            place = file.name if number == 1 else f"{file.name} line {number}"
            if not line.lstrip().startswith(b"{"):
                raise InvalidCursorError(
                    f"{place} is not a checkpoint (not JSON). A signed one is for --checkpoint "
                    f"{file.name} --vkey VKEY."
                )
            yield place, _checkpoint(place, line)
    if not number:
        raise InvalidCursorError(f"{file.name} is empty; {command_name()} checkpoint prints one.")


def last_checkpoint(note: Note) -> Checkpoint | None:
    """Return the last checkpoint in a file of them; None if it is a signed note.

    Raises InvalidCursorError.
    """
    if not note.data.lstrip().startswith(b"{"):
        return None
    *_, last = note.data.splitlines()
    return _checkpoint(note.name, last)


def _checkpoint(place: str, line: bytes) -> Checkpoint:
    try:
        kept: Any = loads(line)
        first, taken_at = kept.get("first"), kept.get("taken_at")
        return Checkpoint(
            entries=kept["entries"],
            position=kept["position"],
            root=bytes.fromhex(kept["root"]),
            first=None if first is None else bytes.fromhex(first),
            taken_at=None if taken_at is None else parse_time(taken_at, "taken_at"),
            origin=kept.get("origin"),
        )
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        why = f" ({error})" if isinstance(error, InvalidCursorError) else ""
        raise InvalidCursorError(
            f"{place} is not a checkpoint{why}; {command_name()} checkpoint prints one."
        ) from None
