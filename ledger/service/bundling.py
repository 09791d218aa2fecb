"""How entries are handed over as evidence for somebody without a ledger: methods of `Ledger`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from typing import TYPE_CHECKING

# What `ledger` names is imported where it is used, because few programs prove anything.
import ledger
from ledger.errors import InvalidCursorError, invalid
from ledger.law import fields
from ledger.service.methods import method

if TYPE_CHECKING:
    from ledger.evidence import bundling
    from ledger.service import Ledger

__all__ = ["archive", "evidence", "tiles"]


@method
def evidence(
    self: Ledger,
    note: str | bytes,
    query: ledger.EntryQuery | None = None,
    *,
    since: str | bytes | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[bytes]:
    """Yield the lines of a bundle of evidence, lazily: entries, and what proves them to others.

    `note` is one that `sign` returned. Without `query`, the bundle has all entries under the
    note, and proves that nothing is left out. With one, it has those that the query chooses, and
    proves that they are there, but no more. It needs no ledger to be verified: see
    `verify_evidence`. Its reader reads the entries in it.

    With `since`, an older note, chosen entries also come with the proof that the ledger still has
    all that it had then. All entries prove that anyway.

    `progress` is told now and then how many entries were read. Memory grows with the number of
    cursors for all entries, and otherwise by some 200 bytes for each 1,024 entries of the log. If
    reading raises, what was yielded is no bundle.

    Raises InvalidCursorError, also if no entry is chosen; UnprovenError if the note is none, or is
    not over this ledger; BrokenChainError.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     cursors = [book.advance(ledger.CursorKey("webhooks", "orders"), to=n) for n in (7, 9)]
    ...     note = book.sign(f"{folder}/key")
    ...     with open(f"{folder}/evidence.jsonl", "wb") as file:
    ...         file.writelines(book.evidence(note))
    ...     with open(f"{folder}/evidence.jsonl", "rb") as file:
    ...         ledger.verify_evidence(file, [key.verifier]).listed
    2
    """
    from ledger.evidence.tree_heads import TreeHead

    given: object = query
    if given is not None and not isinstance(given, ledger.EntryQuery):
        said = fields.kind(given)
        raise invalid("query", f"must be EntryQuery, not {said}.", value=said)
    if query is not None and query.newest_first:
        raise InvalidCursorError("a bundle has its entries oldest first: leave out newest_first.")
    if query is None and since is not None:
        raise InvalidCursorError(
            "since is of use with a query: all entries prove what any older note is over."
        )
    if since is not None:
        TreeHead.unverified(since)
    bundler = _bundler(self, note, progress)
    if query is None:
        return bundler.complete()
    return bundler.selected(query, None if since is None else _text(since))


@method
def archive(
    self: Ledger,
    note: str | bytes,
    file: str | PathLike[str],
    keys: Iterable[ledger.VerifierKey],
    *,
    after: str | PathLike[str] | None = None,
    origin: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> ledger.Archive:
    """Write all entries under the signed `note` to the new `file`, and verify what the disk has.

    The file is a complete bundle of evidence, which only its owner may read. It also says which
    positions the ledger has left out. It has its name only once it was read from the disk and
    proved by `keys`, as by `verify_evidence`; `origin` is the name of the ledger if it is not that
    of a key. A file that is there stays as it is, and is only accepted if it is this very archive.
    `after` is an older archive, of entries that the ledger no longer has: the new one has them too.

    `progress` is told now and then how many entries were read or verified. Memory grows with the
    number of cursors.

    Raises InvalidCursorError; UnprovenError if the note is not over this ledger, or not signed by
    one of `keys`; BrokenChainError.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     cursors = [book.advance(ledger.CursorKey("webhooks", "orders"), to=n) for n in (7, 9)]
    ...     note = book.sign(f"{folder}/key")
    ...     book.archive(note, f"{folder}/archive.jsonl", [key.verifier]).head.entries
    2
    """
    from ledger.evidence.archives import entries_before, write_archive
    from ledger.evidence.tree_heads import TreeHead

    keys = tuple(keys)
    TreeHead.opened(note, keys, origin=origin)  # before all entries are read
    bundler = _bundler(self, note, progress)
    if after is None:
        lines = bundler.complete(positions=True)
        return write_archive(file, lines, keys, origin=origin, progress=progress)
    with entries_before(after, keys, origin=origin) as before:
        lines = bundler.complete(positions=True, before=before)
        return write_archive(file, lines, keys, origin=origin, progress=progress)


def _bundler(
    self: Ledger, note: str | bytes, progress: Callable[[int], None] | None
) -> bundling.Bundler:
    from ledger.evidence.bundling import Bundler
    from ledger.evidence.tree_heads import TreeHead

    return Bundler(
        read=self._store.entries,
        snapshot=self._store.snapshot,
        note=_text(note),
        head=TreeHead.unverified(note),
        progress=progress,
    )


def _text(note: str | bytes) -> str:
    return note.decode() if isinstance(note, bytes) else note


@method
def tiles(self: Ledger, note: str | bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the tree of a signed note as files that others read: the path and bytes of each.

    `note` is one that `sign` returned. The form is https://c2sp.org/tlog-tiles: whoever has the
    files computes every proof by themselves. A leaf is the digest of an entry, so the files do not
    say what the entries say. The last one is `checkpoint`, the note itself, and comes only if all
    others are of its tree.

    Raises UnprovenError if the note is none, or is not over this ledger.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     [path for path, data in book.tiles(book.sign(f"{folder}/key"))]
    ['tile/entries/000.p/1', 'tile/0/000.p/1', 'checkpoint']
    """
    from ledger.evidence.tiles import tiles_of
    from ledger.evidence.tree_heads import TreeHead
    from ledger.evidence.verification import settled

    head = TreeHead.unverified(note)
    with self._store.snapshot() as log:
        yield from tiles_of(settled(log), head)
    yield "checkpoint", note.encode() if isinstance(note, str) else note
