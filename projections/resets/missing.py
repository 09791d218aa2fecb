"""What a plan does about a cursor that is not there, or has nowhere to go."""

from __future__ import annotations

from enum import StrEnum

import attrs

from ledger import CursorKey
from ledger.errors import invalid
from ledger.law import fields

__all__ = ["LeftOut", "Missing", "missing"]

# Long enough for two keys and two times.
_WHY_LENGTH_MAX = 4_096


class Missing(StrEnum):
    """What a plan does about a cursor that does not exist, or did not at the moment that is meant.

    >>> import ledger
    >>> from projections import Missing, ResetPlan
    >>> old, new = (ledger.CursorKey("mailer", "orders", name) for name in ("old", "new"))
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=44) for key in (old, new)]
    ...     plan = ResetPlan.make(
    ...         book, [old, new], as_of=1, reason="night of the 5th", missing=Missing.SKIP
    ...     )
    >>> [str(reset.key) for reset in plan.resets]
    ['mailer/orders/old']
    >>> print(plan.left_out[0].why)
    mailer/orders/new had no entry yet at position 1; choose a later moment.
    """

    ZERO = "zero"
    """It counts as one that stands, or stood, at 0; refused for what was started elsewhere."""
    SKIP = "skip"
    """It is left out of the plan, which says so."""
    REFUSE = "refuse"
    """Nothing is planned."""


@attrs.frozen(kw_only=True)
class LeftOut:
    """A cursor that a plan leaves out: its `key`, and `why`.

    Raises InvalidCursorError.

    >>> import ledger
    >>> from projections import LeftOut
    >>> key = ledger.CursorKey("mailer", "orders", "7")
    >>> print(LeftOut(key=key, why="it has no cursor").key)
    mailer/orders/7
    """

    key: CursorKey
    why: str

    def __attrs_post_init__(self) -> None:
        CursorKey.check(self.key)
        why = fields.text(self.why, "why", length_max=_WHY_LENGTH_MAX)
        fields.set_field(self, "why", why)


def missing(value: object) -> Missing | None:
    """Return what `value` names, or None for None. Raises InvalidCursorError."""
    if value is None:
        return None
    try:
        return Missing(fields.exact(value, "missing"))
    except ValueError:
        raise invalid(
            "missing", f"must be one of {', '.join(Missing)}, not {fields.shown(value)}."
        ) from None
