"""Bundles of evidence made of a log, line by line. None is made that is not true.

The leaves are read once, and held against the note before the first line is made. All entries, or
each block of 1,024 that has a chosen one, are read after that, and nothing is held open between
two lines.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import TypeAlias

import attrs

from ledger.errors import ArchivedError, BrokenChainError, InvalidCursorError, UnprovenError
from ledger.evidence.blocks import BLOCK_LEAVES, Block, Blocks
from ledger.evidence.bundles import EvidenceKind, Header, Line, end_line
from ledger.evidence.digests import GENESIS
from ledger.evidence.merkle import Tree
from ledger.evidence.proofs import entry_preimage
from ledger.evidence.proving import growth_proof
from ledger.evidence.source import Log, archived_digest
from ledger.evidence.tree_heads import TreeHead
from ledger.evidence.verification import settled
from ledger.law.cursor import CursorKey
from ledger.law.events import Entry
from ledger.law.queries import EntryQuery

__all__ = ["PROGRESS_ENTRIES", "Bundler"]

PROGRESS_ENTRIES = 10_000
"""After so many entries, progress is told."""

KNOWN_MAX = 10_000
"""Of so many cursors, the last chosen entry is remembered: the next one may follow it."""

Progress: TypeAlias = Callable[[int], None]


@attrs.frozen(kw_only=True)
class Bundler:
    """Makes the lines of a bundle under `note`, of a log that `read` and `snapshot` read."""

    read: Callable[[EntryQuery], Iterator[Entry]]
    snapshot: Callable[[], AbstractContextManager[Log]]
    note: str
    head: TreeHead
    progress: Progress | None = None

    def complete(self, *, positions: bool = False, before: Iterable[Entry] = ()) -> Iterator[bytes]:
        """Yield the lines of a bundle of all entries; with `positions`, of an archive of them.

        An archive says the position of an entry that does not come next to the one before it.
        `before` are the first entries, where an older archive has them and the log no longer has.
        Memory grows with the number of cursors. Raises UnprovenError, BrokenChainError.
        """
        blocks = self._blocks()
        yield Header(kind=EvidenceKind.COMPLETE, note=self.note).line
        tree, last, at = Tree(), dict[CursorKey, bytes](), 0
        for index, entry in enumerate(islice(self._every(before), self.head.entries)):
            previous = last.get(entry.key, GENESIS)
            text = entry_preimage(previous, entry)[len(GENESIS) :]
            last[entry.key] = entry.digest
            tree.add(entry.position, entry.digest)
            said = entry.position if positions and entry.position != at + 1 else None
            at = entry.position
            yield Line(index, previous, text, position=said).line
            self._tell(index + 1)
        if tree.checkpoint().root != blocks.root:
            raise _changed()
        yield end_line(tree.entries)

    def selected(self, query: EntryQuery, since: str | None = None) -> Iterator[bytes]:
        """Yield the lines of a bundle of the entries that `query` chooses.

        With `since`, an older note, it proves that the log only grew since. Memory grows with the
        log by some 200 bytes for each 1,024 entries, and not with what is chosen.

        Raises InvalidCursorError if none is chosen, UnprovenError, BrokenChainError.
        """
        blocks = self._blocks()
        header = Header(kind=EvidenceKind.SELECTED, note=self.note)
        if since is not None:
            with self.snapshot() as log:
                path = growth_proof(log, since, self.note).path
            header = attrs.evolve(header, since=since, growth=path)
        pages = _Pages(self.read, self.snapshot, blocks)
        found = 0
        for entry in self.read(query):
            if (index := pages.index_of(entry)) is None:
                break
            if not found:
                yield header.line
            found += 1
            previous = pages.before(entry)
            text = entry_preimage(previous, entry)[len(GENESIS) :]
            yield Line(index, previous, text, pages.path(index)).line
            self._tell(found)
        if not found:
            raise InvalidCursorError(
                "none of the entries under the note is chosen, so there is nothing to prove."
            )
        yield end_line(found)

    def _every(self, before: Iterable[Entry]) -> Iterator[Entry]:
        last = 0
        for entry in before:
            yield entry
            last = entry.position
        yield from self.read(EntryQuery(position_from=last + 1) if last else EntryQuery())

    def _blocks(self) -> Blocks:
        """Read the leaves, and hold them against the note."""
        with self.snapshot() as log:
            blocks = Blocks.over(self._told(islice(settled(log), self.head.entries)))
        if (blocks.entries, blocks.root) != (self.head.entries, self.head.root):
            raise UnprovenError(
                f"the first {self.head.entries:,} entries of this ledger do not have the root in "
                f"the note of {self.head.origin:.80}: it is of another ledger, or entries were "
                "changed. Run verify() with the note to see more."
            )
        return blocks

    def _told(self, leaves: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        for index, leaf in enumerate(leaves):
            yield leaf
            self._tell(index + 1)

    def _tell(self, done: int) -> None:
        if self.progress is not None and done % PROGRESS_ENTRIES == 0:
            self.progress(done)


class _Pages:
    """The block that was read last: entries are chosen in order, so each is read once."""

    def __init__(
        self,
        read: Callable[[EntryQuery], Iterator[Entry]],
        snapshot: Callable[[], AbstractContextManager[Log]],
        blocks: Blocks,
    ) -> None:
        self._read = read
        self._snapshot = snapshot
        self._blocks = blocks
        self._block: Block | None = None
        self._until = 0
        self._indices: dict[int, int] = {}
        self._digests: dict[tuple[CursorKey, int], bytes] = {}
        # The digest and version of the entry of a cursor that was chosen last.
        self._known: OrderedDict[CursorKey, tuple[int, bytes]] = OrderedDict()

    def index_of(self, entry: Entry) -> int | None:
        """Return how many entries come before this one; None if it is behind the tree."""
        if not self._blocks.entries:
            return None
        number = self._blocks.number_of(entry.position)
        if number < 0:
            raise _changed()
        if self._block is None or number * BLOCK_LEAVES != self._block.index:
            self._turn_to(number)
        index = self._indices.get(entry.position)
        if index is None and entry.position <= self._until:
            raise _changed()
        return index

    def path(self, index: int) -> tuple[bytes, ...]:
        """Return the path of an entry of the block."""
        assert self._block is not None  # noqa: S101 - its index was asked for before
        return self._blocks.path(self._block, index - self._block.index)

    def before(self, entry: Entry) -> bytes:
        """Return the digest of the entry before this one on its cursor."""
        previous = GENESIS
        before = entry.version - 1
        if before:
            found = self._digests.get((entry.key, before))
            version, digest = self._known.get(entry.key, (0, b""))
            previous = found or (
                digest if version == before else self._looked_up(entry.key, before)
            )
        self._known[entry.key] = entry.version, entry.digest
        self._known.move_to_end(entry.key)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return previous

    def _looked_up(self, key: CursorKey, version: int) -> bytes:
        query = EntryQuery(key=key, version_from=version, version_until=version)
        try:
            entry = next(self._read(query), None)
        except ArchivedError:
            with self._snapshot() as log:
                if (digest := archived_digest(log, key, version)) is None:
                    raise
            return digest
        if entry is None:
            raise BrokenChainError(str(key), f"version {version} is missing")
        return entry.digest

    def _turn_to(self, number: int) -> None:
        """Read the entries of a block anew, which must be the leaves that the tree was made of."""
        begins = number * BLOCK_LEAVES
        limit = min(BLOCK_LEAVES, self._blocks.entries - begins)
        query = EntryQuery(position_from=self._blocks.positions[number], limit=limit)
        entries: list[Entry] = []
        try:
            entries += self._read(query)
            leaves = [(entry.position, entry.digest) for entry in entries]
        except ArchivedError:
            # Some of the block were removed; their digests are there.
            with self._snapshot() as log:
                leaves = list(islice(settled(log), begins, begins + limit))
        self._block = Block.of(begins, [digest for _, digest in leaves])
        if not self._blocks.is_of(self._block):
            raise _changed()
        self._until = leaves[-1][0]
        self._indices = {position: begins + nth for nth, (position, _) in enumerate(leaves)}
        self._digests = {(entry.key, entry.version): entry.digest for entry in entries}


def _changed() -> UnprovenError:
    return UnprovenError("entries of the ledger were changed while they were read. Run verify().")
