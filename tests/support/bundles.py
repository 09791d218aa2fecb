"""A ledger with bundles of evidence of it, and an operator who signs what the law forbids."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path

import attrs

import ledger
from ledger import CursorKey, EntryQuery, EvidenceKind, SigningKey, TreeHead, VerifierKey
from ledger.evidence.bundles import Header, Line, end_line
from ledger.evidence.digests import GENESIS
from ledger.evidence.merkle import Tree
from ledger.evidence.paths import inclusion_ranges, roots_of
from ledger.log.text import dumps
from support.clock import Clock
from support.cursors import JOBS, ORDERS, fill

NAME = "example.com/cursors"
Lines = list[bytes]
Said = list[object]
"""What an entry says, with its format before it."""


@attrs.frozen(kw_only=True)
class Evidence:
    """Bundles and proofs of one ledger, which was signed twice: over 7 entries, and over 13."""

    key: SigningKey
    vkey: VerifierKey
    old: str
    note: str
    complete: Lines
    complete_old: Lines
    selected: Lines
    """The entries of one cursor, with the proof that the ledger only grew."""
    bare: Lines
    """The same without that proof."""
    every: Lines
    """All entries, each with its path."""
    proof: str
    growth: str

    @property
    def texts(self) -> list[Said]:
        """What the entries say."""
        return [json.loads(parsed(line).text) for line in self.complete[1:-1]]


def parsed(line: bytes) -> Line:
    kind = EvidenceKind.SELECTED if b'"path":' in line[:60] else EvidenceKind.COMPLETE
    return Line.parse(line, kind)


def evidence(folder: Path) -> Evidence:
    """Make a ledger with something of everything, and all kinds of evidence of it."""
    clock = Clock()
    made = ledger.make_key(folder / "key", NAME)
    with ledger.open(":memory:", actor="tester", clock=clock) as book:
        fill(book, clock)
        old = book.sign(folder / "key")
        book.start(CursorKey("started", "orders"), at=7, reason="moved", source="kafka")
        for to in range(11, 15):
            clock.tick()
            book.advance(ORDERS, to=to, metadata={"name": "Grüße \u2028", "n": str(to)})
        book.advance(JOBS, to=90)
        note = book.sign(folder / "key")
        of_orders = EntryQuery(key=ORDERS)
        return Evidence(
            key=made,
            vkey=made.verifier,
            old=old,
            note=note,
            complete=list(book.evidence(note)),
            complete_old=list(book.evidence(old)),
            selected=list(book.evidence(note, of_orders, since=old)),
            bare=list(book.evidence(note, of_orders)),
            every=list(book.evidence(note, EntryQuery(position_from=1))),
            proof=book.prove(3, note).text,
            growth=book.prove_growth(old, note).text,
        )


# --- by hand, as somebody with the key can make them of anything ---


def line_of(index: int, previous: bytes, said: Said) -> Line:
    return Line(index, previous, dumps(said).encode())


def chained(texts: Iterable[Said], links: Callable[[Said], object] | None = None) -> list[Line]:
    """Return entries, each of which follows the one before it of its cursor."""
    last: dict[object, bytes] = {}
    lines = []
    for index, said in enumerate(texts):
        cursor = repr(said[1:4]) if links is None else links(said)
        line = line_of(index, last.get(cursor, GENESIS), said)
        last[cursor] = digest(line)
        lines.append(line)
    return lines


def digest(line: Line) -> bytes:
    return sha256(line.previous + line.text).digest()


def note_over(key: SigningKey, lines: Sequence[Line]) -> str:
    tree = Tree()
    for line in lines:
        tree.add(line.index + 1, digest(line))
    kept = tree.checkpoint()
    return key.sign(TreeHead(key.name, kept.entries, kept.root).text)


def complete(key: SigningKey, lines: Sequence[Line]) -> Lines:
    """Return the bundle of all entries, with a note that the key has signed over them."""
    header = Header(kind=EvidenceKind.COMPLETE, note=note_over(key, lines))
    return [header.line, *(line.line for line in lines), end_line(len(lines))]


def selected(key: SigningKey, lines: Sequence[Line], chosen: Sequence[int]) -> Lines:
    """Return the bundle of some of these entries."""
    header = Header(kind=EvidenceKind.SELECTED, note=note_over(key, lines))
    leaves = [(line.index, digest(line)) for line in lines]
    listed = [
        attrs.evolve(lines[n], path=tuple(roots_of(leaves, inclusion_ranges(n, len(lines)))))
        for n in chosen
    ]
    return [header.line, *(line.line for line in listed), end_line(len(listed))]
