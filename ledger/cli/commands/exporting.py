"""The command that writes the log, or where cursors stand, in formats that others read."""

from __future__ import annotations

import heapq
import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Any, TextIO, assert_never

import attrs
import click

from ledger import files
from ledger.cli.process.interrupts import Watch
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.sentences import say
from ledger.cli.shown.waiting import say_what_is_not_settled
from ledger.cli.typed.filters import chosen_entries, entry_filters, entry_query, no_reserved_option
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, pass_target
from ledger.exchange.exporting import Exported, checked_source, cloud_event, json_line
from ledger.law.events import Entry
from ledger.law.queries import EntryQuery
from ledger.log.plain import unstructure
from ledger.log.text import dumps
from ledger.service import Ledger

__all__ = ["export"]


class Format(StrEnum):
    """What is written."""

    JSONL = "jsonl"
    CLOUDEVENTS = "cloudevents"
    CSV = "csv"
    KAFKA = "kafka"


# How an option is typed whose parameter is called otherwise.
_TYPED = {"kinds": "kind", "actor": "by", "no_group": "no-group"}


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice([str(each) for each in Format]),
    default=str(Format.JSONL),
    show_default=True,
    help="The format. jsonl is what import reads; kafka is the CSV that kafka-consumer-groups "
    "--from-file reads.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file, and not to standard output.",
)
@click.option(
    "--checkpoint",
    "kept",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the checkpoint over what is exported to this file, for import --checkpoint.",
)
@click.option(
    "--source",
    metavar="URI",
    help="The source of the CloudEvents, if not the origin of the ledger.",
)
@click.option(
    "--no-group",
    is_flag=True,
    help="For Kafka: leave the group out of each line; for one --consumer.",
)
@lambda command: entry_filters(command, repeatable=("consumer",))
@no_reserved_option
@pass_target
def export(
    target: Target,
    /,
    form: str,
    output: Path | None,
    kept: Path | None,
    source: str | None,
    no_group: bool,
    **given: Any,
) -> None:
    """Write the log, or where cursors stand, in a format that is kept or that others read.

    The log is written in order of position, as far as it is settled, however long it is. A line of
    jsonl is a line of entries --jsonl; entries is to look at, and has options for that. With
    filters, only some entries are written, and import refuses what does not continue.

    With --format kafka, the consumer is the group, the stream the topic and the subject the
    partition, and the sequence is the offset that the group reads next. If one of the cursors
    cannot be a partition of Kafka, nothing is written (exit code 3). The file is for
    kafka-consumer-groups --reset-offsets --from-file, which needs --group or --all-groups beside
    it.
    """
    chosen = Format(form)
    typed = {name for name, value in given.items() if value not in (None, "", (), False)}
    _check_options(chosen, typed, kept=kept, source=source, no_group=no_group)
    for file in (output, kept):
        if file is not None:
            files.check(file, ledger=target.file)
    if output is not None and kept is not None and files.is_same(output, kept):
        raise click.UsageError("-o and --checkpoint name the same file. Choose another name.")
    if chosen is Format.KAFKA:
        from ledger.cli.commands.offsets import export_offsets

        consumers, stream = given["consumer"], given["stream"]
        if no_group and len(consumers) != 1:
            raise click.UsageError(
                "--no-group needs exactly one --consumer, because its lines do not say whose they "
                "are."
            )
        export_offsets(target, consumers, stream, output, group=not no_group)
        return
    progress = Progress()
    done = Exported()
    with target.open() as book:
        entries = _watched(done.counted(_chosen(book, **given)), done, progress)
        try:
            with _opened(output) as out:
                _write(book, entries, chosen, source, out)
        finally:
            progress.clear()
        if kept is not None:
            checkpoint = attrs.evolve(done.checkpoint(), taken_at=book.now())
            files.write(kept, f"{dumps(unstructure(checkpoint))}\n".encode())
        say_what_is_not_settled(book)
    Watch.current().nothing_found = not done.entries
    _account(done, whole=not typed - {"to_position"})


def _check_options(
    form: Format, typed: set[str], *, kept: Path | None, source: str | None, no_group: bool
) -> None:
    """Refuse options of one format with another.

    Raises UsageError, InvalidCursorError.
    """
    if form is Format.KAFKA:
        alien = sorted(typed - {"consumer", "stream"})
        alien += [name for name, value in (("checkpoint", kept), ("source", source)) if value]
        if alien:
            name = _TYPED.get(alien[0], alien[0].replace("_", "-"))
            raise click.UsageError(
                f"--{name} is for entries; --format kafka writes where cursors stand."
            )
        return
    if no_group:
        raise click.UsageError("--no-group is for --format kafka.")
    if source is not None:
        if form is not Format.CLOUDEVENTS:
            raise click.UsageError("--source is for --format cloudevents.")
        checked_source(source)
    if kept is not None and typed - {"to_position"}:
        raise click.UsageError(
            "A checkpoint is over the log from its beginning on; leave out --checkpoint, or the "
            "filters other than --to-position."
        )


def _chosen(
    book: Ledger, consumer: tuple[str, ...], no_reserved: bool, **given: Any
) -> Iterator[Entry]:
    """Yield the entries that match the filters, by position."""
    query = entry_query(book, consumer="", **given)
    consumers = dict.fromkeys(consumer or ("",))
    queries = [attrs.evolve(query, consumer_id=each) for each in consumers]
    each = (chosen_entries(book, query, reserved=not no_reserved) for query in queries)
    return heapq.merge(*each, key=attrgetter("position"))


def _watched(entries: Iterable[Entry], done: Exported, progress: Progress) -> Iterator[Entry]:
    for entry in entries:
        yield entry
        if progress.is_watched and not done.entries % 1_000:
            progress.say(f"{done.entries:,} entries exported")


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Lend what is written to: standard output, or a file that is there whole or not at all."""
    if output is None:
        yield sys.stdout
        return
    with files.writing(output) as file:
        out = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield out
        out.detach()


def _write(
    book: Ledger, entries: Iterator[Entry], form: Format, source: str | None, out: TextIO
) -> None:
    plain = Names(book).plain(unstructure)
    match form:
        case Format.JSONL:
            out.writelines(json_line(entry, plain) for entry in entries)
        case Format.CLOUDEVENTS:
            named = source or _origin(book)
            out.writelines(cloud_event(entry, named, plain) for entry in entries)
        case Format.CSV:
            from ledger.cli.shown.spreadsheets import print_csv

            print_csv(entries, [Entry], plain, out)
        case Format.KAFKA:
            raise AssertionError("where cursors stand is written elsewhere")
        case _:
            assert_never(form)


def _origin(book: Ledger) -> str:
    """Return what tells the ledger from others: its identity, or the digest of its first entry."""
    identity = book.identity()
    if not identity:
        first = next(book.entries(EntryQuery(limit=1)), None)
        identity = "empty" if first is None else first.digest.hex()
    return f"cursor-ledger/{identity}"


def _account(done: Exported, *, whole: bool) -> None:
    noun = "entry" if done.entries == 1 else "entries"
    said = f"{done.entries:,} {noun} exported"
    if done.last is None:
        say(said, err=True)
    elif whole:
        root = done.checkpoint().root.hex()
        say(f"{said}, up to position {done.last.position:,}, root {root}", err=True)
    else:
        say(f"{said}, the last at position {done.last.position:,}: a part of the log", err=True)
