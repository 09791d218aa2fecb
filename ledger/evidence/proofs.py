"""Proofs as texts that others read: that an entry is in a ledger, and that a ledger only grew.

The first is C2SP's https://c2sp.org/tlog-proof@v1, the second what a witness is sent by
https://c2sp.org/tlog-witness: both end in a signed note, and need no database to be verified.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import attrs

from ledger.errors import BrokenChainError, UnprovenError
from ledger.evidence.digests import GENESIS, content_in, digest_of, preimage_of
from ledger.evidence.keys import decoded, encoded
from ledger.evidence.notes import NOTE_BYTES_MAX, Keys
from ledger.evidence.paths import HASHES_MAX, is_consistent, is_included, leaf_hash
from ledger.evidence.tree_heads import TreeHead, number
from ledger.law.events import Entry
from ledger.log.columns import CONTENT, KEY
from ledger.log.rows import content_of, entry_from
from ledger.log.text import micros

__all__ = ["ConsistencyProof", "EntryProof", "Proved", "entry_in", "entry_preimage", "is_growth"]

_INCLUSION = "c2sp.org/tlog-proof@v1"


@attrs.frozen(kw_only=True)
class Proved:
    """What a proof has proved: `entry` is the entry `index`, counted from 0, of `head`.

    The position of `entry` is `index` + 1: a ledger may have left out positions, which a proof
    does not say. In an archive it is what the archive says, which no signature covers.

    >>> import ledger
    >>> [field.name for field in ledger.Proved.__attrs_attrs__]
    ['head', 'index', 'entry']
    """

    head: TreeHead
    index: int
    entry: Entry


@attrs.frozen(kw_only=True)
class EntryProof:
    """The proof that a ledger had an entry when a note was signed.

    `index` counts the entries before it, `path` are the hashes up to the root, and `note` is the
    signed checkpoint. `preimage` are the bytes whose SHA-256 is the entry's digest: the digest of
    the one before it on the same cursor, and what it says as JSON. `text` is the proof in the
    form of https://c2sp.org/tlog-proof@v1.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     proof = book.prove(1, book.sign(f"{folder}/key"))
    >>> ledger.EntryProof.parse(proof.text).verify([key.verifier]).entry.event.sequence
    41
    """

    index: int
    path: tuple[bytes, ...]
    note: str
    preimage: bytes | None = None

    @classmethod
    def parse(cls, text: str | bytes) -> EntryProof:
        """Return the proof that a text is. Raises UnprovenError."""
        lines, note = _split(text)
        first, *rest = lines
        if first != _INCLUSION:
            raise _malformed(f"its first line is not {_INCLUSION}")
        preimage = None
        if rest and rest[0].startswith("extra "):
            preimage = decoded(rest.pop(0).removeprefix("extra "))
            if preimage is None:
                raise _malformed("its line extra is not base64")
        index = number(rest[0].removeprefix("index ")) if rest else None
        if index is None or not rest[0].startswith("index "):
            raise _malformed("it has no line index with a number without leading zeros")
        return cls(index=index, path=_hashes(rest[1:]), note=note, preimage=preimage)

    @property
    def text(self) -> str:
        """Return the proof as others read it."""
        extra = [] if self.preimage is None else [f"extra {encoded(self.preimage)}"]
        hashes = map(encoded, self.path)
        return _joined([_INCLUSION, *extra, f"index {self.index}", *hashes], self.note)

    def verify(self, keys: Keys, *, origin: str | None = None) -> Proved:
        """Return what is proved, to somebody who trusts `keys` and asks about `origin`.

        Without `origin`, that is the name of one of the keys. Raises UnprovenError.
        """
        head = TreeHead.opened(self.note, keys, origin=origin)
        if self.preimage is None:
            raise UnprovenError(
                "the proof has no line extra, from which the digest of its entry follows; make it "
                "with cursor-ledger proof."
            )
        digest = sha256(self.preimage).digest()
        if not is_included(self.index, head.entries, leaf_hash(digest), self.path, head.root):
            raise UnprovenError(
                f"the proof is false: its entry is not entry {self.index + 1:,} of the "
                f"{head.entries:,} that {head.origin} has signed."
            )
        previous, said = self.preimage[: len(GENESIS)], self.preimage[len(GENESIS) :]
        try:
            entry = entry_in(previous, said, self.index)
        except UnprovenError as error:
            raise UnprovenError(f"the line extra of the proof: {error}") from None
        return Proved(head=head, index=self.index, entry=entry)


@attrs.frozen(kw_only=True)
class ConsistencyProof:
    """The proof that a ledger still had its first `old` entries when a later note was signed.

    `path` are the hashes, and `note` is the later note. `text` is the form in which a witness is
    sent it: https://c2sp.org/tlog-witness.

    >>> import ledger, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     key = ledger.make_key(f"{folder}/key", "example.com/cursors")
    ...     notes = []
    ...     for to in (41, 44):
    ...         cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=to)
    ...         notes.append(book.sign(f"{folder}/key"))
    ...     proof = book.prove_growth(*notes)
    >>> ledger.ConsistencyProof.parse(proof.text).verify(notes[0], [key.verifier]).entries
    2
    """

    old: int
    path: tuple[bytes, ...]
    note: str

    @classmethod
    def parse(cls, text: str | bytes) -> ConsistencyProof:
        """Return the proof that a text is. Raises UnprovenError."""
        lines, note = _split(text)
        old = number(lines[0].removeprefix("old "))
        if old is None or not lines[0].startswith("old "):
            raise _malformed("it begins with no line old with a number without leading zeros")
        return cls(old=old, path=_hashes(lines[1:]), note=note)

    @property
    def text(self) -> str:
        """Return the proof as others read it."""
        return _joined([f"old {self.old}", *map(encoded, self.path)], self.note)

    def verify(self, old: str | bytes, keys: Keys, *, origin: str | None = None) -> TreeHead:
        """Return the later head, which has all that the note `old` was over, unchanged.

        Both notes must be signed by one of `keys`. Raises UnprovenError.
        """
        keys = list(keys)
        try:
            before = TreeHead.opened(old, keys, origin=origin)
        except UnprovenError as error:
            raise UnprovenError(f"the older checkpoint: {error}") from None
        now = TreeHead.opened(self.note, keys, origin=origin)
        if before.origin != now.origin:
            raise UnprovenError(
                f"the older note is about {before.origin!r:.80}, the proof about "
                f"{now.origin!r:.80}."
            )
        if before.entries != self.old:
            raise UnprovenError(
                f"the proof begins at {self.old:,} entries, but the older note is over "
                f"{before.entries:,}; ask for a proof from there."
            )
        if not is_consistent(self.old, now.entries, self.path, before.root, now.root):
            raise UnprovenError(
                f"the proof is false: it does not show that the {now.entries:,} entries begin with "
                f"the {before.entries:,} of the older note."
            )
        return now


def is_growth(text: str | bytes) -> bool:
    """Return whether a text begins as a proof of growth; another proof, or a note, does not."""
    return text[:4] in ("old ", b"old ")


def entry_preimage(previous: bytes, entry: Entry) -> bytes:
    """Return the bytes of which `entry` has the digest.

    Raises BrokenChainError if it has another one.
    """
    content = content_of(
        entry.key,
        entry.version,
        entry.epoch,
        micros(entry.recorded_at),
        entry.actor,
        entry.metadata,
        entry.event,
    )
    preimage = preimage_of(previous, content)
    if sha256(preimage).digest() != entry.digest:
        raise BrokenChainError(f"position {entry.position}", "its digest does not fit what it says")
    return preimage


def entry_in(previous: bytes, text: bytes, index: int) -> Entry:
    """Return the entry that a text says, which follows the digest `previous`, as entry `index`.

    A digest vouches for the bytes, and not for their form. Raises UnprovenError.
    """
    digest = sha256(previous + text).digest()
    try:
        content = content_in(text)
        entry = entry_from((index + 1, *content, digest))
        # What was written in another way, or stands behind the text, is no entry.
        if digest_of(previous, content) != digest:
            raise ValueError("it is written in another way than the ledger writes it")
    except BrokenChainError as error:
        raise UnprovenError(f"it is no entry of a ledger: {error.fault}.") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise UnprovenError(f"it is no entry of a ledger: {error}.") from None
    key = entry.key
    if (key.consumer_id, key.stream_name, key.subject_id) != content[_KEY]:
        raise UnprovenError("it is no entry of a ledger: its cursor cannot have that name.")
    return entry


_KEY = CONTENT.places(KEY)


def _split(text: str | bytes) -> tuple[list[str], str]:
    """Return the lines of a proof and the note behind them, still unread."""
    if len(text) > 2 * NOTE_BYTES_MAX:
        raise UnprovenError(f"it has more than {2 * NOTE_BYTES_MAX:,} bytes; no proof is so long.")
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise _malformed(f"byte {error.start} is not UTF-8") from None
    if "\r" in text:
        raise _malformed("it has a carriage return; lines end in a newline alone")
    head, gap, note = text.partition("\n\n")
    if not gap:
        raise _malformed("it has no empty line before its checkpoint")
    return head.split("\n"), note


def _hashes(lines: Sequence[str]) -> tuple[bytes, ...]:
    if len(lines) > HASHES_MAX:
        raise _malformed(f"it has {len(lines)} hashes, and no tree is so high")
    found = []
    for line in lines:
        one = decoded(line)
        if one is None or len(one) != len(GENESIS):
            raise _malformed(f"{line!r:.60} is not a hash: base64 of 32 bytes")
        found.append(one)
    return tuple(found)


def _joined(lines: Sequence[str], note: str) -> str:
    return "\n".join(lines) + "\n\n" + note


def _malformed(why: str) -> UnprovenError:
    return UnprovenError(f"it is not a proof: {why}.")
