"""The command that writes the tree for the tools of others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ledger import files
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.sentences import say
from ledger.cli.typed.notes import NOTE, Note, about
from ledger.cli.typed.target import Target, pass_target
from ledger.errors import InvalidCursorError, UnprovenError
from ledger.evidence.notes import NOTE_BYTES_MAX
from ledger.evidence.tree_heads import TreeHead
from ledger.log.text import visible
from ledger.service import Ledger

__all__ = ["tiles"]

CHECKPOINT = "checkpoint"
"""The file that names the tree. It is written last."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--checkpoint", "note", type=NOTE, required=True, help="The signed checkpoint of the tree."
)
@pass_target
def tiles(target: Target, folder: Path, note: Note) -> None:
    """Write the tree of a signed checkpoint to FOLDER, as files that others read.

    Their form is https://c2sp.org/tlog-tiles: whoever has the files computes every proof, with a
    tool of others. They have the digests of entries, and not what the entries say. In a FOLDER
    that has an older tree of the same ledger only what is new is written, and a tree that does not
    begin with that one is refused. Only you may read the files; publish them as they are.
    """
    files.refuse_part(folder)
    progress, written, kept = Progress(), 0, 0
    try:
        with target.open() as book, _failing():
            _check_growth(book, folder / CHECKPOINT, note)
            with about(note):
                for path, data in book.tiles(note.data):
                    if _is_there(folder / path, data, replaced=path == CHECKPOINT):
                        kept += 1
                        continue
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    files.write(folder / path, data)
                    written += 1
                    progress.say(f"{written:,} files written")
    finally:
        progress.clear()
    head = TreeHead.unverified(note.data)
    said = f"{written:,} {'file' if written == 1 else 'files'} written"
    already = f", {kept:,} were there" if kept else ""
    say(f"{said}{already}: the {head.entries:,} entries of {visible(head.origin)}", err=True)


def _check_growth(book: Ledger, place: Path, note: Note) -> None:
    """Refuse a tree that does not begin with the one that is published already.

    Small trees of two ledgers have no file in common. Raises UnprovenError, InvalidCursorError.
    """
    with about(note):
        now = TreeHead.unverified(note.data)
    if files.plain(place) is None:
        return
    with place.open("rb") as file:
        there = file.read(NOTE_BYTES_MAX + 1)
    with about(Note(str(place), there)):
        before = TreeHead.unverified(there)
    if before.origin != now.origin:
        raise UnprovenError(
            f"{place} is of {before.origin:.80}, and not of {now.origin:.80}. Write to an empty "
            "folder."
        )
    if before.entries > now.entries:
        raise InvalidCursorError(
            f"{place} is over {before.entries:,} entries, more than the {now.entries:,} of "
            f"{note.name}: whoever has read it would see the ledger shrink. Use a newer one."
        )
    with about(Note(str(place), there)):
        book.prove_growth(there, note.data)


def _is_there(place: Path, data: bytes, *, replaced: bool) -> bool:
    """Return whether a file is there already.

    Raises UnprovenError for one of another tree, InvalidCursorError for what is not a plain file:
    reading a pipe would never end.
    """
    files.check(place)
    try:
        with place.open("rb") as file:
            there = file.read(len(data) + 1)
    except FileNotFoundError:
        return False
    if there == data:
        return True
    if not replaced:
        raise UnprovenError(
            f"{place} is there already, and is of another tree. Write to an empty folder, or find "
            "out which of the two ledgers is the right one."
        )
    return False


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = os.fsdecode(error.filename or "the folder")
        raise InvalidCursorError(f"{name}: {error.strerror or error}.") from error
