"""What a list of resets comes to: how many they are, and how much they moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ledger import CursorKey
from ledger.cli.shown.forms import Form, fitting
from ledger.cli.shown.sentences import say
from ledger.cli.shown.shapes import Shape
from ledger.law.reserved import POLICY, is_reserved
from projections.resets.views import RecordedReset

__all__ = ["Sum"]


class Sum:
    """Counts resets as they are shown, for a line below their table."""

    def __init__(self) -> None:
        self._resets = self._again = self._passed = self._policies = self._own = 0
        self._cursors: set[CursorKey] = set()

    def over(self, resets: Iterable[RecordedReset]) -> Iterator[RecordedReset]:
        """Yield `resets`, and count them; what is of the ledger's own cursors moves nothing."""
        for reset in resets:
            if reset.key.consumer_id == POLICY:
                self._policies += 1
            elif is_reserved(reset.key.consumer_id):
                self._own += 1
            else:
                self._resets += 1
                self._again += len(reset.delivered_again or ())
                self._passed += len(reset.passed_over or ())
                self._cursors.add(reset.key)
            yield reset

    def tell(self, form: Form | None, *, takeovers: bool) -> None:
        """Print the sums below a table of several rows; a single one says itself what it did."""
        # Of a table that is sorted and cut, all were counted.
        is_whole = fitting(form) in {Form.TABLE, Form.WIDE} and not Shape.current().limit
        if self._resets + self._policies + self._own < 2 or takeovers or not is_whole:
            return
        say("; ".join(self._parts()), err=True)

    def _parts(self) -> Iterator[str]:
        """Yield what each row is, so that the counts come to the rows above."""
        if self._resets:
            cursors = _counted(len(self._cursors), "cursor", "cursors")
            moved = [
                f"{count:,} {what}"
                for count, what in ((self._again, "to deliver again"), (self._passed, "skipped"))
                if count
            ]
            resets = _counted(self._resets, "reset", "resets")
            yield f"{resets} of {cursors}: {', '.join(moved) or 'none moved'}"
        if self._policies:
            yield _counted(self._policies, "change of a policy", "changes of policies")
        if self._own:
            yield _counted(self._own, "reset of the ledger's own", "resets of the ledger's own")


def _counted(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"
