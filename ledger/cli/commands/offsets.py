"""Where cursors stand, in the format of another system."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import click

from ledger import files
from ledger.cli.process.exits import EXIT_REFUSED
from ledger.cli.process.interrupts import Watch
from ledger.cli.shown.sentences import say
from ledger.cli.typed.target import Target
from ledger.errors import InvalidCursorError
from ledger.exchange import kafka
from ledger.law.cursor import Cursor
from ledger.law.queries import CursorQuery
from ledger.log.text import visible
from ledger.positions import PositionMapping
from ledger.service import Ledger

__all__ = ["export_offsets"]

REFUSALS_SHOWN_MAX = 20


def export_offsets(
    target: Target, consumers: tuple[str, ...], stream: str, output: Path | None, *, group: bool
) -> None:
    """Write where cursors stand as the CSV that kafka-consumer-groups --from-file reads.

    If one of them cannot be a partition of Kafka, nothing is written (exit code 3).
    """
    refused: list[str] = []
    lines: list[str] = []
    with target.open() as book:
        mappings = {each.stream_name: each.mapping for each in book.positions.list()}
        for cursor in _by_topic(book, consumers, stream):
            try:
                _check(mappings.get(cursor.key.stream_name))
                lines.append(kafka.csv_line(cursor, group=group) + "\n")
            except InvalidCursorError as error:
                refused.append(f"{cursor.key}: {error}")
    if refused:
        _say_refused(refused)
        click.get_current_context().exit(EXIT_REFUSED)
    _write("".join(lines), output)
    Watch.current().nothing_found = not lines
    noun = "cursor" if len(lines) == 1 else "cursors"
    say(f"{len(lines):,} {noun} exported", err=True)


def _check(mapping: PositionMapping | None) -> None:
    """Refuse a stream whose positions were declared to be something else than offsets."""
    if mapping not in (None, PositionMapping.ZERO_BASED):
        raise InvalidCursorError(
            f"the positions of its stream are declared as {mapping}, and those of Kafka are "
            f"{PositionMapping.ZERO_BASED}."
        )


def _by_topic(book: Ledger, consumers: tuple[str, ...], stream: str) -> Iterator[Cursor]:
    """Yield the cursors by stream, consumer and number of the partition."""
    queries = [
        CursorQuery(consumer_id=consumer, stream_name=stream)
        for consumer in dict.fromkeys(consumers or ("",))
    ]
    merged = heapq.merge(*map(book.cursors, queries), key=_stream)
    for _, of_stream in groupby(merged, key=_stream):
        yield from sorted(of_stream, key=_consumer_and_number)


def _stream(cursor: Cursor) -> str:
    return cursor.key.stream_name


def _consumer_and_number(cursor: Cursor) -> tuple[str, int, str]:
    subject = cursor.key.subject_id
    # Shorter numbers are smaller; what is not a number is refused anyway.
    return cursor.key.consumer_id, len(subject), subject


def _say_refused(refused: list[str]) -> None:
    for problem in refused[:REFUSALS_SHOWN_MAX]:
        say(f"cursor-ledger: {visible(problem)}", err=True)
    noun = "cursor" if len(refused) == 1 else "cursors"
    say(
        f"{len(refused):,} {noun} refused, nothing was written. Choose others with --consumer and "
        "--stream.",
        err=True,
    )


def _write(text: str, output: Path | None) -> None:
    if output is None:
        if sys.stdout.isatty():
            text = "".join(visible(line) + "\n" for line in text.split("\n")[:-1])
        click.echo(text.encode(), nl=False)
    else:
        files.write(output, text.encode())
