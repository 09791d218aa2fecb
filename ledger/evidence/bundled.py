"""A bundle of evidence verified, without a ledger, by somebody who trusts nothing that is in it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import count
from typing import IO, Protocol, TypeAlias, runtime_checkable

import attrs

from ledger.errors import BrokenChainError, InvalidCursorError, UnprovenError
from ledger.evidence.bundles import EvidenceKind, Header, Line, numbered, read_end
from ledger.evidence.digests import GENESIS
from ledger.evidence.merkle import Tree
from ledger.evidence.notes import Keys, VerifierKey
from ledger.evidence.paths import is_consistent, is_included, leaf_hash
from ledger.evidence.proofs import Proved, entry_in
from ledger.evidence.tree_heads import TreeHead
from ledger.law import rules
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.fields import SEQUENCE_MAX

__all__ = ["Lines", "ProvedEvidence", "verify_evidence"]

PROGRESS_ENTRIES = 10_000

Lines: TypeAlias = Iterable[bytes] | IO[bytes]
"""The lines of a bundle: a file that was opened to read bytes, or a list."""

Progress: TypeAlias = Callable[[int], None]


@runtime_checkable
class Seekable(Protocol):
    """A file that may be able to go back."""

    def seekable(self) -> bool:
        """Return whether it is."""

    def tell(self) -> int:
        """Return where it is read from."""

    def seek(self, offset: int, /) -> int:
        """Be read from there."""


@attrs.frozen(kw_only=True)
class ProvedEvidence:
    """What a bundle of evidence has proved.

    `kind` says whether it has all entries under its signed `note`, whose `head` this is, so that
    nothing is left out, or some, so that only they are proved. `listed` is how many it has, and
    `cursors` are those that they are of. `since` is the older head that the entries still begin
    with, None if none was asked for. `entries` reads them.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     bundle = list(book.evidence(book.sign(f"{folder}/key")))
    >>> proved = ledger.verify_evidence(bundle, [key.verifier])
    >>> proved.kind.value, proved.listed, [str(cursor) for cursor in proved.cursors]
    ('complete', 1, ['webhooks/orders'])
    """

    head: TreeHead
    note: str = attrs.field(repr=False)
    kind: EvidenceKind
    listed: int
    cursors: tuple[CursorKey, ...] = attrs.field(repr=lambda cursors: f"<{len(cursors)}>")
    since: TreeHead | None = None
    _again: Callable[[], Iterator[Proved]] = attrs.field(repr=False, eq=False)

    def entries(self) -> Iterator[Proved]:
        """Yield the entries, lazily: the lines are read, and verified, once more.

        Raises UnprovenError if they have changed since; InvalidCursorError if they can be read
        once only.

        >>> import ledger, tempfile
        >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
        ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
        ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
        ...     bundle = list(book.evidence(book.sign(f"{folder}/key")))
        >>> proved = ledger.verify_evidence(bundle, [key.verifier])
        >>> [(each.index, each.entry.event.sequence) for each in proved.entries()]
        [(0, 41)]
        """
        return self._again()


def verify_evidence(
    lines: Lines,
    keys: Keys,
    *,
    origin: str | None = None,
    since: str | bytes | None = None,
    progress: Progress | None = None,
) -> ProvedEvidence:
    """Return what a bundle proves, to somebody who trusts `keys` and asks about `origin`.

    `lines` is a file that was opened to read bytes, or a list of lines: what `Ledger.evidence`
    returned. Nothing in it is trusted. Without `origin`, it must be the name of one of the keys.
    `since` is an older note that was kept: all that it is over must still be there, unchanged.
    `progress` is told now and then how many entries were verified. Memory grows with the number of
    cursors, and not with that of entries.

    Raises UnprovenError, which names the line.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:", actor="x") as book:
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     for consumer in ("webhooks", "mailer"):
    ...         cursor = book.advance(ledger.CursorKey(consumer, "orders"), to=41)
    ...     query = ledger.EntryQuery(consumer_id="mailer")
    ...     bundle = list(book.evidence(book.sign(f"{folder}/key"), query))
    >>> proved = ledger.verify_evidence(bundle, [key.verifier])
    >>> proved.kind.value, proved.listed, proved.head.entries
    ('selected', 1, 2)
    """
    check = _Check(lines, tuple(keys), origin, since, progress)
    try:
        check.back = _back(lines)
        found = check.run()
        while True:
            next(found)
    except StopIteration as end:
        proved: ProvedEvidence = end.value
        return proved


@attrs.define(eq=False)
class _Check:
    """The check of one bundle; each run reads it from its beginning."""

    lines: Lines
    keys: tuple[VerifierKey, ...]
    origin: str | None
    since: str | bytes | None
    progress: Progress | None
    back: Callable[[], object] | None = None
    """Goes back to where the lines begin in their file; None if they are no such file."""

    def again(self) -> Iterator[Proved]:
        """Run it again; None of what has changed since passes."""
        if self.back is not None:
            self.back()
        elif iter(self.lines) is self.lines:
            raise InvalidCursorError(
                "these lines can be read once only; keep them in a file, or in a list."
            )
        yield from self.run()

    def run(self) -> Generator[Proved, None, ProvedEvidence]:
        """Yield each entry; all is proved when this returns."""
        lines = numbered(self.lines)
        number, first = next(lines, (1, b""))
        with _at(number):
            header = Header.parse(first)
            head = TreeHead.opened(header.note, self.keys, origin=self.origin)
        since = self._since(head, header)
        if header.kind is EvidenceKind.COMPLETE:
            entries: _Complete | _Selected = _Complete(head, since)
        else:
            entries = _Selected(head)
        for listed in count():
            number, line = next(lines, (number + 1, b""))
            with _at(number):
                if (counted := read_end(line)) is not None:
                    if counted != listed:
                        raise UnprovenError(
                            f"it counts {counted:,} entries, and {listed:,} are there."
                        )
                    entries.end()
                    break
                if not line:
                    raise UnprovenError("the last line is missing: the bundle was cut off.")
                proved = entries.follow(Line.parse(line, header.kind))
            yield proved
            if self.progress is not None and (listed + 1) % PROGRESS_ENTRIES == 0:
                self.progress(listed + 1)
        for number, _ in lines:
            raise UnprovenError(f"line {number:,}: it stands behind the last line of the bundle.")
        return ProvedEvidence(
            head=head,
            note=header.note,
            kind=header.kind,
            listed=listed,
            cursors=tuple(entries.cursors),
            since=since,
            again=self.again,
        )

    def _since(self, head: TreeHead, header: Header) -> TreeHead | None:
        """Return the head that was kept; of selected entries, the header has to prove growth."""
        kept, in_header = None, None
        if self.since is not None:
            kept = _older(self.since, self.keys, head, "the older checkpoint")
        if header.since is not None:
            with _at(1):
                in_header = _older(header.since, self.keys, head, "its older checkpoint")
                if not is_consistent(
                    in_header.entries, head.entries, header.growth, in_header.root, head.root
                ):
                    raise UnprovenError(
                        f"it does not prove that its {head.entries:,} entries begin with the "
                        f"{in_header.entries:,} of its older checkpoint."
                    )
        if header.kind is EvidenceKind.COMPLETE or kept is None or not kept.entries:
            return kept
        proved = [head] if in_header is None else [head, in_header]
        if any((kept.entries, kept.root) == (each.entries, each.root) for each in proved):
            return kept
        raise UnprovenError(
            f"line 1: it does not prove that its {head.entries:,} entries begin with the "
            f"{kept.entries:,} of the older checkpoint; ask for evidence --since-note with that."
        )


@attrs.define
class _Complete:
    """All entries: the chain and the law of each cursor, and the tree over all of them."""

    head: TreeHead
    since: TreeHead | None
    tree: Tree = attrs.field(factory=Tree)
    position: int = 0
    """That of the last entry, in an archive."""
    cursors: dict[CursorKey, tuple[Cursor | None, bytes, datetime]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._hold()

    def follow(self, line: Line) -> Proved:
        """Check the next entry. Raises UnprovenError."""
        if line.index != self.tree.entries:
            raise UnprovenError(
                f"it has entry {line.index + 1:,}, where entry {self.tree.entries + 1:,} belongs."
            )
        if line.index >= self.head.entries:
            raise UnprovenError(f"the note is over {self.head.entries:,} entries, and no more.")
        position = self.position + 1 if line.position is None else line.position
        if line.position is not None and line.position <= self.position + 1:
            raise UnprovenError("its position is no later one than where it belongs without.")
        if position > SEQUENCE_MAX:
            raise UnprovenError("it comes after the last position that there is.")
        entry = entry_in(line.previous, line.text, line.index)
        began = (None, GENESIS, entry.recorded_at)
        cursor, previous, before = self.cursors.get(entry.key, began)
        if previous != line.previous:
            raise UnprovenError(f"it does not follow the entry before it of {entry.key}.")
        if entry.recorded_at < before:
            raise UnprovenError("it was recorded before the entry that it follows.")
        try:
            after = rules.replay(cursor, entry)
        except BrokenChainError as error:
            raise UnprovenError(f"the law forbids it: {error.fault}.") from None
        self.cursors[entry.key] = after, entry.digest, entry.recorded_at
        self.tree.add(line.index + 1, entry.digest)
        self._hold()
        self.position = position
        placed = entry if position == entry.position else attrs.evolve(entry, position=position)
        return Proved(head=self.head, index=line.index, entry=placed)

    def end(self) -> None:
        """Hold the whole against the note. Raises UnprovenError."""
        entries = self.tree.entries
        if entries != self.head.entries:
            raise UnprovenError(
                f"the note is over {self.head.entries:,} entries, and {entries:,} are there."
            )
        if self.tree.checkpoint().root != self.head.root:
            raise UnprovenError(
                f"its {entries:,} entries are not those that {self.head.origin} has signed."
            )

    def _hold(self) -> None:
        since = self.since
        if since is None or self.tree.entries != since.entries:
            return
        if self.tree.checkpoint().root != since.root:
            raise UnprovenError(
                f"the first {since.entries:,} entries are not those of the older checkpoint."
            )


@attrs.define
class _Selected:
    """Some entries: the path of each, and that those of one cursor follow each other."""

    head: TreeHead
    last: int = -1
    cursors: dict[CursorKey, tuple[int, bytes, datetime]] = attrs.field(factory=dict)

    def follow(self, line: Line) -> Proved:
        """Check the next entry. Raises UnprovenError."""
        if line.index <= self.last:
            raise UnprovenError(
                f"it has entry {line.index + 1:,} behind entry {self.last + 1:,}; each comes once, "
                "and in order."
            )
        entry = entry_in(line.previous, line.text, line.index)
        path, head = line.path or (), self.head
        if not is_included(line.index, head.entries, leaf_hash(entry.digest), path, head.root):
            raise UnprovenError(
                f"it is not entry {line.index + 1:,} of the {head.entries:,} that {head.origin} "
                "has signed."
            )
        began = (0, GENESIS, entry.recorded_at)
        version, previous, before = self.cursors.get(entry.key, began)
        follows = entry.version == version + 1
        if entry.version <= version or (follows and previous != line.previous):
            raise UnprovenError(
                f"it does not follow version {version:,} of {entry.key}, which stands before it."
            )
        if entry.recorded_at < before:
            raise UnprovenError("it was recorded before an entry that it follows.")
        self.last = line.index
        self.cursors[entry.key] = entry.version, entry.digest, entry.recorded_at
        return Proved(head=head, index=line.index, entry=entry)

    def end(self) -> None:
        """Nothing: what is left out is not known."""


def _older(note: str | bytes, keys: Keys, head: TreeHead, what: str) -> TreeHead:
    try:
        older = TreeHead.opened(note, keys, origin=head.origin)
    except UnprovenError as error:
        raise UnprovenError(f"{what}: {error}") from None
    if older.entries > head.entries:
        raise UnprovenError(
            f"{what} is over {older.entries:,} entries, and the bundle over {head.entries:,}."
        )
    return older


def _back(lines: Lines) -> Callable[[], object] | None:
    """Return what goes back in a file to where it is read from now; None if that cannot be."""
    if not isinstance(lines, Seekable) or not lines.seekable():
        return None
    return partial(lines.seek, lines.tell())


class _at:  # noqa: N801 - it reads as a statement
    """Names the line in what is refused within."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Raise what was refused, with the number of the line."""
        if isinstance(error, UnprovenError):
            raise UnprovenError(f"line {self._number:,}: {error}") from None
