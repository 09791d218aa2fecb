"""The head of a tree as others write it: C2SP's checkpoint, https://c2sp.org/tlog-checkpoint."""

from __future__ import annotations

import re
from hashlib import sha256

import attrs

from ledger.errors import InvalidCursorError, UnprovenError, invalid
from ledger.evidence.keys import decoded, encoded
from ledger.evidence.merkle import Checkpoint
from ledger.evidence.notes import Keys, open_note, text_of
from ledger.law import fields
from ledger.law.fields import SEQUENCE_MAX

__all__ = ["EMPTY_ROOT", "TreeHead", "number"]

EMPTY_ROOT = sha256().digest()
"""The root of a tree without leaves."""

_CONTROL = re.compile("[\0-\x1f\ud800-\udfff]")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


def number(text: str) -> int | None:
    """Return the number that `text` is in its one form; None if it is none, or too large."""
    if not _NUMBER.fullmatch(text):
        return None
    found = int(text)
    return found if found <= SEQUENCE_MAX else None


@attrs.frozen
class TreeHead:
    """The origin of a ledger, the number of its entries, and the Merkle root over them.

    `origin` names the ledger, `entries` is their number, and `root` has 32 bytes. `extensions` are
    the lines behind them that another signer may have written. `text` is what is signed in a note.

    Raises InvalidCursorError for a line that is none, a number out of range, or another root.

    >>> import ledger
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
    ...     kept = book.checkpoint()
    >>> head = ledger.TreeHead("example.com/cursors", kept.entries, kept.root)
    >>> ledger.TreeHead.parse(head.text) == head
    True
    """

    origin: str
    entries: int
    root: bytes = attrs.field(repr=bytes.hex)
    extensions: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        # A line with an end in it would be two lines of what is signed.
        for line in (self.origin, *self.extensions):
            if type(line) is not str or not line or _CONTROL.search(line):
                raise invalid(
                    "origin",
                    f"and extensions must be lines without control characters, not {line!r:.80}.",
                )
        fields.set_field(self, "entries", fields.sequence(self.entries, "entries", least=0))
        if type(self.root) is not bytes or len(self.root) != len(EMPTY_ROOT):
            raise InvalidCursorError("root must be the 32 bytes of a SHA-256.")

    @classmethod
    def parse(cls, text: str) -> TreeHead:
        """Return the head that the text of a note is. Raises UnprovenError."""
        lines = text.removesuffix("\n").split("\n")
        if not text.endswith("\n") or len(lines) < 3:
            raise _malformed("it has fewer than three lines: origin, size and root")
        origin, size, root, *extensions = lines
        entries, digest = number(size), decoded(root)
        if "" in lines:
            raise _malformed("it has an empty line")
        if entries is None:
            raise _malformed(f"its size is {size!r:.40}, and not a number without leading zeros")
        if digest is None or len(digest) != len(EMPTY_ROOT):
            raise _malformed(f"its root is {root!r:.60}, and not base64 of 32 bytes")
        if not entries and digest != EMPTY_ROOT:
            raise _malformed("its size is 0, but its root is not that of an empty tree")
        try:
            return cls(origin, entries, digest, tuple(extensions))
        except InvalidCursorError as error:
            raise _malformed(str(error).rstrip(".")) from None

    @classmethod
    def opened(cls, note: str | bytes, keys: Keys, *, origin: str | None = None) -> TreeHead:
        """Return the head in a note that one of `keys` has signed, for `origin`.

        Without `origin`, that is the name of one of the keys. Raises UnprovenError.
        """
        keys = list(keys)
        head = cls.parse(open_note(note, keys))
        wanted = {key.name for key in keys} if origin is None else {origin}
        if head.origin not in wanted:
            raise UnprovenError(
                f"the note is about {head.origin!r:.80}, not about "
                f"{' or '.join(sorted(wanted)):.200}; it proves nothing about that."
            )
        return head

    @classmethod
    def unverified(cls, note: str | bytes) -> TreeHead:
        """Return the head in a note, whoever signed it: a claim that proves nothing yet.

        Raises UnprovenError if it is no note of a head.
        """
        return cls.parse(text_of(note))

    @property
    def text(self) -> str:
        """Return the text to be signed."""
        lines = self.origin, str(self.entries), encoded(self.root), *self.extensions
        return "\n".join(lines) + "\n"

    @property
    def checkpoint(self) -> Checkpoint:
        """Return it as a checkpoint for `verify`; where its last entry stands, it does not say."""
        return Checkpoint(entries=self.entries, position=0, root=self.root, origin=self.origin)


def _malformed(why: str) -> UnprovenError:
    return UnprovenError(f"the note is no checkpoint: {why}.")
