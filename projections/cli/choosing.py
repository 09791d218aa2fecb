"""Which cursors a command is about, and how it shows its progress."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from itertools import product
from typing import Any, TypeVar

import attrs
import click

from ledger import Cursor, CursorKey, CursorNotFoundError, CursorQuery, Entry, Ledger
from ledger.cli.filters import cursor_filters
from ledger.cli.keys import known
from ledger.cli.progress import Progress

__all__ = ["Choice", "choice", "cleared", "watched"]

T = TypeVar("T")

_ANY = ("",)


@attrs.frozen
class Choice:
    """The cursors of some consumers, streams, subjects, or the one that was named in full.

    A part that was not given matches all.
    """

    consumers: tuple[str, ...]
    streams: tuple[str, ...]
    subjects: tuple[str, ...]
    named: bool = False

    @property
    def is_any(self) -> bool:
        """Whether nothing was given, so that all cursors are chosen."""
        return not (self.consumers or self.streams or self.subjects)

    @property
    def key(self) -> CursorKey | None:
        """The one cursor that was named; None if there may be several."""
        if not self.named:
            return None
        return CursorKey(self.consumers[0], self.streams[0], (self.subjects or _ANY)[0])

    @property
    def queries(self) -> Iterator[CursorQuery]:
        """The queries that choose several: one for each combination of what was given."""
        # A part that was given twice is meant once.
        parts = (dict.fromkeys(p or _ANY) for p in (self.streams, self.subjects, self.consumers))
        for stream, subject, consumer in product(*parts):
            yield CursorQuery(consumer_id=consumer, stream_name=stream, subject_id=subject)

    def cursors(self, book: Ledger) -> Iterator[Cursor]:
        """Yield the cursors, in the order of lists.

        Raises CursorNotFoundError if the one that was named is not there.
        """
        if self.key is not None:
            yield book.get(self.key)
        else:
            yield from heapq.merge(*map(book.cursors, self.queries), key=_order)

    def expect_each(self, keys: Sequence[CursorKey]) -> None:
        """Refuse a name that is none of any of `keys`. Raises CursorNotFoundError."""
        for option, part, given in (
            ("--consumer", "consumer_id", self.consumers),
            ("--stream", "stream_name", self.streams),
            ("--subject", "subject_id", self.subjects),
        ):
            there = {getattr(key, part) for key in keys}
            if unknown := [name for name in given if name.strip() not in there]:
                raise CursorNotFoundError(
                    f"no cursor of these matches {option} {unknown[0]!r:.80}. Leave it out, or add "
                    "--missing skip."
                )


def _order(cursor: Cursor) -> tuple[str, str, str]:
    key = cursor.key
    return key.stream_name, key.subject_id, key.consumer_id


def choice(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add [CONSUMER STREAM [SUBJECT]] and the filters, which a command is given as `chosen`."""

    @wraps(command)
    def with_choice(
        *positional: Any,
        named_consumer: str,
        named_stream: str,
        named_subject: str,
        consumer: tuple[str, ...],
        stream: tuple[str, ...],
        subject: tuple[str, ...],
        **rest: Any,
    ) -> Any:
        # An option that is given as "" matches all, as one that is not given.
        given = [tuple(filter(None, part)) for part in (consumer, stream, subject)]
        if named_consumer and any(given):
            raise click.UsageError("Name a cursor, or choose some by options; not both.")
        if named_consumer and not named_stream:
            raise click.UsageError(
                f"A cursor is named by CONSUMER STREAM [SUBJECT]; for all of a consumer, use "
                f"--consumer {named_consumer}."
            )
        if named_consumer:
            given = [(named_consumer,), (named_stream,), tuple(filter(None, (named_subject,)))]
        consumers, streams, subjects = given
        chosen = Choice(consumers, streams, subjects, named=bool(named_consumer))
        return command(*positional, chosen=chosen, **rest)

    for name, part in (
        ("subject", "subject_id"),
        ("stream", "stream_name"),
        ("consumer", "consumer_id"),
    ):
        with_choice = click.argument(
            f"named_{name}", metavar=f"[{name.upper()}]", default="", shell_complete=known(part)
        )(with_choice)
    return cursor_filters(with_choice, repeatable=True)


def watched(entries: Iterable[Entry], progress: Progress) -> Iterator[Entry]:
    """Yield `entries`, and tell `progress` how many were read."""
    for count, entry in enumerate(entries, 1):
        if count % 5_000 == 0:
            progress.say(f"{count:,} entries read")
        yield entry


def cleared(values: Iterable[T], progress: Progress) -> Iterator[T]:
    """Yield `values`, and clear the line of `progress` before each is shown."""
    for value in values:
        progress.clear()
        yield value
    progress.clear()
