"""Which cursors a command is about, and how it shows its progress."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from itertools import product
from typing import Any, TypeVar

import attrs
import click

from ledger import Cursor, CursorKey, CursorNotFoundError, CursorQuery, Entry, EntryQuery, Ledger
from ledger.cli.shown.progress import Progress
from ledger.cli.typed.filters import cursor_filters
from ledger.cli.typed.keys import key, known

__all__ = ["Choice", "choice", "cleared", "order", "watched"]

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

    @property
    def entries(self) -> Iterator[EntryQuery]:
        """The queries for the entries of those that are chosen, or of more."""
        if self.key is not None:
            yield EntryQuery(key=self.key)
            return
        for query in self.queries:
            yield EntryQuery(
                consumer_id=query.consumer_id,
                stream_name=query.stream_name,
                subject_id=query.subject_id,
            )

    def cursors(self, book: Ledger) -> Iterator[Cursor]:
        """Yield the cursors, in the order of lists.

        Raises CursorNotFoundError if the one that was named is not there.
        """
        if self.key is not None:
            yield book.get(self.key)
        else:
            yield from heapq.merge(
                *map(book.cursors, self.queries), key=lambda cursor: order(cursor.key)
            )

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


def order(key: CursorKey) -> tuple[str, str, str]:
    """Return where lists have the cursor of `key`."""
    return key.stream_name, key.subject_id, key.consumer_id


def choice(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add [CONSUMER STREAM [SUBJECT]] and the filters, which a command is given as `chosen`."""

    @wraps(command)
    def with_choice(
        *positional: Any,
        named_consumer: str,
        named_stream: str | None,
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
        if named_stream is None and "/" in named_consumer:
            one = key(named_consumer, None)
            named_consumer, named_stream = one.consumer_id, one.stream_name
            named_subject = one.subject_id
        if named_consumer and not named_stream:
            raise click.UsageError(
                f"A cursor is named by CONSUMER STREAM [SUBJECT], or by CONSUMER/STREAM[/SUBJECT]; "
                f"for all of a consumer, use --consumer {named_consumer}."
            )
        if named_consumer:
            given = [
                (named_consumer,),
                (named_stream or "",),
                tuple(filter(None, (named_subject,))),
            ]
        consumers, streams, subjects = given
        chosen = Choice(consumers, streams, subjects, named=bool(named_consumer))
        return command(*positional, chosen=chosen, **rest)

    for name, part in (
        ("subject", "subject_id"),
        ("stream", "stream_name"),
        ("consumer", "consumer_id"),
    ):
        with_choice = click.argument(
            f"named_{name}",
            metavar=f"[{name.upper()}]",
            required=False,
            # An empty word for the stream is not the same as none: the other is then no whole name.
            default=None if name == "stream" else "",
            shell_complete=known(part),
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
