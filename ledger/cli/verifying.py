"""The commands that prove what is in the ledger: `verify` and `checkpoint`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

import click

from ledger.cli.checkpoints import checkpoints
from ledger.cli.exits import EXIT_NOT_VERIFIED
from ledger.cli.forms import Form, fitting, form_options, print_json, show
from ledger.cli.layout import Kind
from ledger.cli.progress import Progress
from ledger.cli.spreadsheets import print_csv
from ledger.cli.tables import Column
from ledger.cli.target import Target, pass_target
from ledger.cli.waiting import say_what_is_not_settled
from ledger.evidence.findings import Fault, Verification
from ledger.log.json import unstructure
from ledger.log.text import dumps, visible
from ledger.service import PROCESSES_MAX, Ledger

__all__ = ["commands"]

# The tree over all entries is one process's work, a quarter of the whole.
PROCESSES_DEFAULT_MAX = 4


@click.command()
@click.option(
    "--against",
    "kept_in",
    type=click.File("rb"),
    multiple=True,
    help="A file of checkpoints that were kept: the entries that each covers must be unchanged. "
    "Repeatable.",
)
@click.option(
    "--repair",
    is_flag=True,
    help="First rebuild each stored cursor that differs from its entries, and say which.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, PROCESSES_MAX),
    help="How many processes check a long log; one for each processor if not given, up to "
    f"{PROCESSES_DEFAULT_MAX}. What is found is the same.",
)
@form_options
@pass_target
@click.pass_context
def verify(
    context: click.Context,
    target: Target,
    kept_in: tuple[BinaryIO, ...],
    repair: bool,
    processes: int | None,
    form: Form | None,
) -> None:
    """Check the tables, every chain, and every stored cursor against its entries.

    All faults are listed, and the exit code is 5 if there are any. It also says how many entries no
    checkpoint covers, and what is unusual but not a fault. Only stored cursors can be repaired, and
    only if their entries have no fault: the log itself is never changed.
    """
    kept = [each for file in kept_in for each in checkpoints(file)]
    progress = Progress()
    with target.open() as book:
        if repair:
            _repair(book, progress)
        found = book.verify(
            [checkpoint for _, checkpoint in kept],
            progress=lambda done: progress.say(f"{done:,} entries checked"),
            processes=processes or min(_processors(), PROCESSES_DEFAULT_MAX),
        )
    progress.clear()
    match fitting(form):
        case Form.JSON | Form.JSONL:
            print_json({"ok": found.ok, **unstructure(found)})
        case Form.CSV:
            print_csv(_rows(found), of=[Fault], plain=dict)
            for line in _covered(found, [name for name, _ in kept]):
                click.echo(line, err=True)
        case Form.TABLE | Form.WIDE:
            show(found.faults, _FAULTS, form, none="")
            if found.ok:
                click.echo(f"ok: {_size(found)}, root {_root(found)}")
            for line in _covered(found, [name for name, _ in kept]):
                click.echo(line)
    if not found.ok:
        click.echo(f"{_count(len(found.faults), 'fault')} in {_size(found)}.", err=True)
        context.exit(EXIT_NOT_VERIFIED)


@click.command()
@pass_target
def checkpoint(target: Target) -> None:
    """Print the Merkle root over all entries: keep it elsewhere for verify --against."""
    with target.open() as book:
        click.echo(dumps(unstructure(book.checkpoint())))
        say_what_is_not_settled(book)


commands = [verify, checkpoint]

_FAULTS = [
    Column("fault", lambda fault: fault.kind),
    Column(
        "position",
        lambda fault: "" if fault.position is None else str(fault.position),
        kind=Kind.NUMBER,
    ),
    Column("cursor", lambda fault: visible(fault.place), kind=Kind.NAME),
    Column("detail", lambda fault: visible(fault.detail)),
]


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _repair(book: Ledger, progress: Progress) -> None:
    made = book.rebuild(progress=lambda done: progress.say(f"{done:,} entries read"))
    progress.clear()
    for fault in made.repaired:
        click.echo(f"repaired: {visible(fault.place)}: {visible(fault.detail)}", err=True)
    for fault in made.left:
        click.echo(f"not repaired: {visible(fault.place)}: {visible(fault.detail)}", err=True)
    click.echo(
        f"{len(made.repaired):,} of {_count(made.cursors, 'stored cursor')} repaired", err=True
    )


def _covered(found: Verification, names: list[str]) -> Iterator[str]:
    for anomaly in found.anomalies:
        yield f"unusual, but not a fault: {visible(str(anomaly))}"
    for name, compared in zip(names, found.against, strict=True):
        yield f"{visible(name)}: {compared.standing}, {_entries(compared.checkpoint.entries)}"
    if found.unsettled:
        yield (
            f"{_entries(found.unsettled)} not settled yet: an open transaction may still append "
            "before them, so the root does not cover them"
        )
    if found.unvouched and found.ok:
        by = "checkpoint that was given" if names else "checkpoint"
        yield (
            f"{_entries(found.unvouched)} not covered by a {by}: run cursor-ledger checkpoint, and "
            "keep its output outside the database"
        )


def _root(found: Verification) -> str:
    return found.checkpoint.root.hex()


def _size(found: Verification) -> str:
    return f"{_entries(found.entries)} of {_count(found.cursors, 'cursor')}"


def _entries(number: int) -> str:
    return f"{number:,} {'entry' if number == 1 else 'entries'}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _rows(found: Verification) -> list[dict[str, object]]:
    """Return the faults as CSV has them; one row says that there are none."""
    if not found.ok:
        return [unstructure(fault) for fault in found.faults]
    detail = f"{_size(found)}, root {_root(found)}"
    return [{"kind": "ok", "place": "the log", "detail": detail}]
