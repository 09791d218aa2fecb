"""The text that is signed of a plan of resets: one, which everybody makes again from the log.

What a plan would do to each cursor is a line. The lines are the leaves of a Merkle tree, and the
text names its root. Each reset that was made can therefore be held against the text by itself, with
the hashes beside its own, whatever became of the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from ledger.errors import InvalidCursorError, invalid
from ledger.evidence.digests import GENESIS
from ledger.evidence.paths import inclusion_paths, leaf_hash, root_above
from ledger.law import fields
from ledger.log.text import show_time

__all__ = ["PlanText"]

_PLAN = "cursor-ledger reset plan v1"
_APPROVAL = "cursor-ledger approval of a reset plan v1"


@attrs.frozen(kw_only=True)
class PlanText:
    """What is signed of a plan of resets.

    `ledger` is the ledger's id, empty if it has none, and `first` the digest of its first entry,
    None if it had none. `planned_by` and `planned_at` say who planned it and when, `expires_at`
    until when it may be applied, None for ever. `plan` is the digest of the plan's file, 64
    hexadecimal digits. `cursors` is how many cursors it resets, and `root` the RFC 9162 root over
    a line for each of them.

    Raises InvalidCursorError.

    >>> import ledger
    >>> from datetime import UTC, datetime
    >>> text, [path] = ledger.PlanText.over(
    ...     [b"a line"],
    ...     ledger="",
    ...     first=None,
    ...     planned_by="ines",
    ...     planned_at=datetime(2026, 5, 5, 16, tzinfo=UTC),
    ...     plan="0" * 64,
    ... )
    >>> print(text.to_sign().decode().splitlines()[3])
    planned by: "ines"
    >>> text.root == ledger.PlanText.root_of(b"a line", 0, 1, path)
    True
    """

    ledger: str
    first: bytes | None
    planned_by: str
    planned_at: datetime
    expires_at: datetime | None = None
    plan: str
    cursors: int
    root: bytes

    def __attrs_post_init__(self) -> None:
        for name in ("ledger", "planned_by"):
            fields.set_field(self, name, fields.text(getattr(self, name), name))
        fields.set_field(self, "planned_at", fields.moment(self.planned_at, "planned_at"))
        if self.expires_at is not None:
            fields.set_field(self, "expires_at", fields.moment(self.expires_at, "expires_at"))
        if not re.fullmatch("[0-9a-f]{64}", fields.storable(self.plan, "plan")):
            raise invalid("plan", "must be the digest of a plan: 64 hexadecimal digits.")
        fields.set_field(self, "cursors", fields.sequence(self.cursors, "cursors", least=1))
        for digest in (self.root, *([] if self.first is None else [self.first])):
            if type(digest) is not bytes or len(digest) != len(GENESIS):
                raise InvalidCursorError("root and first must be the 32 bytes of a SHA-256.")

    @classmethod
    def over(
        cls,
        lines: Iterable[bytes],
        *,
        ledger: str,
        first: bytes | None,
        planned_by: str,
        planned_at: datetime,
        expires_at: datetime | None = None,
        plan: str,
    ) -> tuple[PlanText, list[tuple[bytes, ...]]]:
        """Return the text over `lines`, and for each of them the hashes that prove it.

        Raises InvalidCursorError.
        """
        leaves = list(lines)
        root, paths = inclusion_paths(leaves)
        text = cls(
            ledger=ledger,
            first=first,
            planned_by=planned_by,
            planned_at=planned_at,
            expires_at=expires_at,
            plan=plan,
            cursors=len(leaves),
            root=root,
        )
        return text, paths

    @staticmethod
    def root_of(line: bytes, index: int, cursors: int, path: Sequence[bytes]) -> bytes:
        """Return the root that `path` leads to from `line`, the line `index`, from 0, of `cursors`.

        If it is the root of a text, the line is one of that plan.

        Raises InvalidCursorError if no tree of this size has such a path.
        """
        root = root_above(index, cursors, leaf_hash(line), path)
        if root is None:
            raise invalid("path", f"is none of the line {index} of {cursors}.")
        return root

    def to_sign(self) -> bytes:
        """Return the text that the planner signs, in ASCII."""
        return self._text(_PLAN)

    def to_approve(self, approved_by: str) -> bytes:
        """Return the text that an approver of this name signs. It is never that of the planner.

        Raises InvalidCursorError.
        """
        name = fields.required(approved_by, "approved_by", seen=True)
        return self._text(_APPROVAL, f"approved by: {_quoted(name)}")

    def _text(self, *heading: str) -> bytes:
        lines = (
            *heading,
            f"ledger: {_quoted(self.ledger)}",
            f"first entry: {self.first.hex() if self.first else 'none'}",
            f"planned by: {_quoted(self.planned_by)}",
            f"planned at: {show_time(self.planned_at)}",
            f"expires at: {show_time(self.expires_at) if self.expires_at else 'never'}",
            f"digest of the plan: {self.plan}",
            f"cursors: {self.cursors}",
            f"root: {self.root.hex()}",
        )
        return "".join(f"{line}\n" for line in lines).encode("ascii")


def _quoted(text: str) -> str:
    # A name can neither begin another line, nor look like another name.
    return json.dumps(text)
