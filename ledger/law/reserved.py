"""The consumers that belong to the ledger itself: cursors in which it keeps facts about streams."""

from __future__ import annotations

__all__ = [
    "APPROVAL",
    "APPROVED_BY",
    "ARCHIVE",
    "ARCHIVED_STREAM",
    "HEAD",
    "HOLD",
    "POLICY",
    "POLICY_STREAMS",
    "POSITIONS",
    "PREFIX",
    "RETENTION",
    "RULES",
    "SIGNATURE",
    "SIGNED_TEXT",
    "is_reserved",
    "is_signature",
]

PREFIX = "cursor-ledger/"
"""What the id of every consumer of the ledger's own begins with."""

HEAD = "cursor-ledger/head"
"""Its cursor on a stream says how far the stream goes: the highest sequence that exists."""

POSITIONS = "cursor-ledger/positions"
"""The metadata of its entries says how the positions of a stream are written."""

POLICY = "cursor-ledger/policy"
"""Its cursors say what a reset must carry: each is at 1 while its policy is in force, else at 0."""

POLICY_STREAMS = ("require-signature", "require-approval", "require-meta")
"""The streams of these cursors: the kinds of policies."""

ARCHIVE = "cursor-ledger/archive"
"""Its cursor on `ARCHIVED_STREAM` is at the last position that was archived and pruned."""

ARCHIVED_STREAM = "entries"

RETENTION = "cursor-ledger/retention"
"""Its cursor on `ARCHIVED_STREAM` says how many seconds an entry is kept at least."""

HOLD = "cursor-ledger/hold"
"""Its cursor on a stream is at 1 while a hold of that name is in force, and else at 0."""

RULES = frozenset({ARCHIVE, HOLD, POLICY, RETENTION})
"""Resets of their cursors say what holds for the ledger itself, and deliver nothing to anybody.

No policy asks anything of them: whoever made one has given a name and a reason.
"""

SIGNATURE = "cursor-ledger/signature"
"""What the names in metadata begin with under which a signature is kept, with what it is over."""


SIGNED_TEXT = f"{SIGNATURE}-is-of"
"""The name of what can be read nowhere else in the log of the text that was signed."""

APPROVED_BY = f"{SIGNATURE}-approved-by"
"""The name that whoever has approved a plan has given."""

APPROVAL = f"{SIGNATURE}-of-approval"
"""The name of the signature of whoever has approved a plan."""


def is_signature(name: str) -> bool:
    """Return whether metadata has a signature, or a part of one, under `name`."""
    return name.strip().startswith(SIGNATURE)


def is_reserved(consumer_id: str) -> bool:
    """Return whether `consumer_id` belongs to the ledger itself."""
    return consumer_id.startswith(PREFIX)
