"""The command that writes cursors in the format of another system."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import click

from ledger import Cursor, CursorQuery, InvalidCursorError, Ledger
from ledger.cli.exits import EXIT_REFUSED
from ledger.cli.keys import known
from ledger.cli.target import Target, pass_target
from ledger.exchange import kafka
from ledger.log.text import visible
from ledger.positions import PositionMapping
from projections import files

__all__ = ["export"]

REFUSALS_SHOWN_MAX = 20


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["kafka"]),
    required=True,
    help="The format: kafka is the CSV that kafka-consumer-groups --from-file reads.",
)
@click.option(
    "--consumer",
    "consumers",
    multiple=True,
    shell_complete=known("consumer_id"),
    help="Only this consumer. Repeatable.",
)
@click.option("--stream", default="", shell_complete=known("stream_name"), help="Only this stream.")
@click.option(
    "--no-group",
    is_flag=True,
    help="Leave the group out of each line; for one --consumer.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file, and not to standard output.",
)
@pass_target
@click.pass_context
def export(
    context: click.Context,
    target: Target,
    form: str,
    consumers: tuple[str, ...],
    stream: str,
    no_group: bool,
    output: Path | None,
) -> None:
    """Write where cursors stand in the format of another system.

    For Kafka, the consumer is the group, the stream the topic and the subject the partition, and
    the sequence is the offset that the group reads next. If one of the cursors cannot be a
    partition of Kafka, nothing is written (exit code 3).

    The file is for kafka-consumer-groups --reset-offsets --from-file. Each line names its group,
    so the tool needs --group or --all-groups beside it.
    """
    del form  # There is one.
    if no_group and len(consumers) != 1:
        raise click.UsageError(
            "--no-group needs exactly one --consumer, because its lines do not say whose they are."
        )
    if output is not None:
        files.check(output, ledger=target.file)
    refused: list[str] = []
    lines: list[str] = []
    with target.open() as book:
        mappings = {each.stream_name: each.mapping for each in book.positions.list()}
        for cursor in _by_topic(book, consumers, stream):
            try:
                _check(mappings.get(cursor.key.stream_name))
                lines.append(kafka.csv_line(cursor, group=not no_group) + "\n")
            except InvalidCursorError as error:
                refused.append(f"{cursor.key}: {error}")
    if refused:
        _say_refused(refused)
        context.exit(EXIT_REFUSED)
    _write("".join(lines), output)
    noun = "cursor" if len(lines) == 1 else "cursors"
    click.echo(f"{len(lines):,} {noun} exported", err=True)


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
        click.echo(f"cursor-ledger: {visible(problem)}", err=True)
    noun = "cursor" if len(refused) == 1 else "cursors"
    click.echo(
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
