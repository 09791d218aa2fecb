"""Which cursors a command is about, and how it shows its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any, TypeVar

import attrs
import click

from ledger import Cursor, CursorKey, CursorQuery, Entry, Ledger
from ledger.cli.filters import cursor_filters
from ledger.cli.keys import known
from ledger.cli.progress import Progress

__all__ = ["Choice", "choice", "cleared", "watched"]

T = TypeVar("T")


@attrs.frozen
class Choice:
    """The cursors of a consumer, a stream, a subject; or one, if it was named in full."""

    consumer: str
    stream: str
    subject: str
    named: bool

    @property
    def key(self) -> CursorKey | None:
        """The one cursor that was named; None if there may be several."""
        return CursorKey(self.consumer, self.stream, self.subject) if self.named else None

    @property
    def query(self) -> CursorQuery:
        """The query that chooses several."""
        return CursorQuery(
            consumer_id=self.consumer, stream_name=self.stream, subject_id=self.subject
        )

    def cursors(self, book: Ledger) -> Iterator[Cursor]:
        """Yield the cursors. Raises CursorNotFoundError if the one that was named is not there."""
        if self.key is not None:
            yield book.get(self.key)
        else:
            yield from book.cursors(self.query)


def choice(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add [CONSUMER STREAM [SUBJECT]] and the filters, which a command is given as `chosen`."""

    @wraps(command)
    def with_choice(
        *positional: Any,
        named_consumer: str,
        named_stream: str,
        named_subject: str,
        consumer: str,
        stream: str,
        subject: str,
        **rest: Any,
    ) -> Any:
        if named_consumer and (consumer or stream or subject):
            raise click.UsageError("Name a cursor, or choose some by options; not both.")
        if named_consumer and not named_stream:
            raise click.UsageError(
                f"A cursor is named by CONSUMER STREAM [SUBJECT]; for all of a consumer, use "
                f"--consumer {named_consumer}."
            )
        chosen = Choice(
            named_consumer or consumer,
            named_stream or stream,
            named_subject or subject,
            named=bool(named_consumer),
        )
        return command(*positional, chosen=chosen, **rest)

    for name, part in (
        ("subject", "subject_id"),
        ("stream", "stream_name"),
        ("consumer", "consumer_id"),
    ):
        with_choice = click.argument(
            f"named_{name}", metavar=f"[{name.upper()}]", default="", shell_complete=known(part)
        )(with_choice)
    return cursor_filters(with_choice)


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
