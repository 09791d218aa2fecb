"""What a list of resets comes to: how many they are, and how much they moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ledger import CursorKey
from ledger.cli.shown.forms import Form, fitting
from ledger.cli.shown.sentences import say
from ledger.cli.shown.shapes import Shape
from ledger.law.reserved import is_reserved
from projections.resets.views import RecordedReset

__all__ = ["Sum"]


class Sum:
    """Counts resets as they are shown, for a line below their table."""

    def __init__(self) -> None:
        self._resets = self._again = self._passed = 0
        self._cursors: set[CursorKey] = set()

    def over(self, resets: Iterable[RecordedReset]) -> Iterator[RecordedReset]:
        """Yield `resets`, and count them; changes of policies move nothing."""
        for reset in resets:
            if not is_reserved(reset.key.consumer_id):
                self._resets += 1
                self._again += len(reset.delivered_again or ())
                self._passed += len(reset.passed_over or ())
                self._cursors.add(reset.key)
            yield reset

    def tell(self, form: Form | None, *, takeovers: bool) -> None:
        """Print the sums below a table of several resets; a single one says itself what it did."""
        # Of a table that is sorted and cut, all were counted.
        is_whole = fitting(form) in {Form.TABLE, Form.WIDE} and not Shape.current().limit
        if self._resets < 2 or takeovers or not is_whole:
            return
        cursors = f"{len(self._cursors):,} cursor{'s' if len(self._cursors) > 1 else ''}"
        moved = [
            f"{count:,} {what}"
            for count, what in ((self._again, "to deliver again"), (self._passed, "skipped"))
            if count
        ]
        say(f"{self._resets:,} resets of {cursors}: {', '.join(moved) or 'none moved'}", err=True)
