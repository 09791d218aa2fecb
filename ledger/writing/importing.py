"""A log that is continued with the lines of an export, which keep their positions and digests.

What the ledger has already is compared, so an import that was interrupted is simply run again. What
it lacks is appended as `copying` does it, by the same law and the same digests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeAlias

import attrs

from ledger.errors import BrokenChainError, DivergedError, InvalidCursorError, LedgerError
from ledger.evidence.merkle import Checkpoint, checkpoints_over
from ledger.evidence.verification import settled
from ledger.law.events import Entry
from ledger.law.queries import EntryQuery
from ledger.stores import Provable, Reader, Transaction
from ledger.writing.copying import BATCH_ENTRIES, Batch

__all__ = ["Imported", "Numbered", "import_lines"]

Numbered: TypeAlias = tuple[int, Entry]
"""An entry, and the number of the line that it was read from."""

_FILTERED = (
    "Lines before it are missing, or the export was made with filters; such an export is no "
    "continuation of a log, and cannot be imported. Export the whole log"
)
_OTHER = (
    "The file is the export of another ledger, or one of the two was edited. Import it into a new "
    "ledger, and compare the two with checkpoint"
)


@attrs.frozen(kw_only=True)
class Imported:
    """How many entries were appended, how many were there, and what the ledger has now.

    `then` is the checkpoint over as many entries as were asked for, if there are so many.
    """

    appended: int
    there: int
    now: Checkpoint
    then: Checkpoint | None


class Target(Reader, Provable, Protocol):
    """What is continued: it is read, and checked."""


def import_lines(
    target: Target,
    lines: Iterable[Numbered],
    *,
    write: Callable[[Callable[[Transaction], None]], None],
    entries: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Append to `target` what it lacks of `lines`, in order; compare what it has.

    All before a line that is refused is appended. `write` runs work in a transaction of the target.
    `entries` is the size of the tree of which `Imported.then` is wanted. `progress` is told how
    many were appended, and how many were there.

    Raises DivergedError for a line that does not continue the log, and what `lines` raises.
    """
    # Not the horizon: a kill may have rolled back what had drawn its positions.
    last = next(target.entries(EntryQuery(newest_first=True, limit=1)), None)
    continued = _Continued(target, write, last.position if last else 0, progress)
    try:
        for line, entry in lines:
            continued.take(line, entry)
    except LedgerError:
        continued.flush()
        raise
    continued.flush()
    with target.snapshot() as log:
        then, now = checkpoints_over(settled(log), entries)
    return Imported(appended=continued.appended, there=continued.there, now=now, then=then)


@attrs.define
class _Continued:
    """A log, and the lines that are about to be appended to it."""

    target: Target
    write: Callable[[Callable[[Transaction], None]], None]
    after: int
    """The last position of the log."""
    progress: Callable[[int, int], None] | None
    appended: int = 0
    there: int = 0
    _last: int = 0
    _stored: Iterator[Entry] | None = None
    _batch: list[Numbered] = attrs.field(factory=list)

    def take(self, line: int, entry: Entry) -> None:
        """Compare an entry that is there; collect one that is not."""
        if entry.position <= self._last:
            raise _refused(
                line,
                entry,
                f"it comes after position {self._last}, so it must have a higher one",
                "Each line is there once, in order of position; import a file as export wrote it",
            )
        self._last = entry.position
        if self._stored is None:
            self._stored = self.target.entries(
                EntryQuery(position_from=entry.position, position_until=self.after)
            )
        if entry.position <= self.after and not self._batch and not self.appended:
            self._compare(line, entry)
            self.there += 1
            if not self.there % BATCH_ENTRIES:
                self._report()
            return
        if not self._batch and not self.appended:
            self._refuse_left_out(line, entry)
        self._batch.append((line, entry))
        if len(self._batch) == BATCH_ENTRIES:
            self.flush()

    def flush(self) -> None:
        """Append what was collected, up to a line that does not follow.

        Raises DivergedError.
        """
        numbered, self._batch = self._batch, []
        if not numbered:
            return
        batch = Batch([entry for _, entry in numbered], self.after)
        try:
            self.write(batch.append)
        except DivergedError:
            raise DivergedError(
                f"somebody else has written to the ledger before line {numbered[0][0]:,} was "
                "imported, and nothing was appended after that. Run the same command again: it "
                "goes on, or is refused at the first line that differs."
            ) from None
        except (BrokenChainError, InvalidCursorError) as error:
            good, (line, entry) = numbered[: batch.followed], numbered[batch.followed]
            self._batch = good
            self.flush()
            raise _not_following(line, entry, error) from None
        self.after = batch.entries[-1].position
        self.appended += len(numbered)
        self._report()

    def _report(self) -> None:
        if self.progress is not None:
            self.progress(self.appended, self.there)

    def _compare(self, line: int, entry: Entry) -> None:
        mine = next(self._stored or iter(()), None)
        if mine is None or mine.position > entry.position:
            raise _refused(
                line,
                entry,
                f"the ledger goes on to position {self.after}, and has no {entry.position}",
                _OTHER,
            )
        if mine.position < entry.position:
            raise _refused(
                line, entry, f"the ledger has position {mine.position} before it", _FILTERED
            )
        if mine != entry:
            digests = f"digest {entry.digest.hex():.16}…, there {mine.digest.hex():.16}…"
            if mine.digest == entry.digest:
                digests = "with the same digest, so the line was edited"
            raise _refused(
                line, entry, f"the ledger has another entry at this position ({digests})", _OTHER
            )

    def _refuse_left_out(self, line: int, entry: Entry) -> None:
        """Refuse the first line behind the log if lines before it have left some of the log out."""
        left_out = next(self._stored or iter(()), None)
        if left_out is not None:
            raise _refused(
                line, entry, f"the ledger has position {left_out.position} before it", _FILTERED
            )


def _not_following(line: int, entry: Entry, error: LedgerError) -> DivergedError:
    fault = error.fault if isinstance(error, BrokenChainError) else str(error).rstrip(".")
    advice = "It was edited, or an entry before it was. Export it again from its ledger"
    if fault is not None and "comes next" in fault:
        advice = _FILTERED
    elif fault is not None and "digest" in fault:
        fault = "its digest is not that of what it says and of the entry before it"
    return _refused(line, entry, str(fault), advice)


def _refused(line: int, entry: Entry, fault: str, advice: str) -> DivergedError:
    return DivergedError(
        f"line {line:,} does not continue the log: position {entry.position}, {entry.key}: "
        f"{fault}. {advice}."
    )
