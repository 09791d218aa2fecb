"""The commands that prove what is in the ledger: `verify` and `checkpoint`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import BinaryIO, TypeAlias

import click

from ledger.cli.commands.checkpoints import checkpoints, last_checkpoint
from ledger.cli.commands.remedies import remedies
from ledger.cli.process import streams
from ledger.cli.process.exits import EXIT_NOT_VERIFIED
from ledger.cli.process.hosts import command_name
from ledger.cli.shown.forms import Form, fitting, form_options, show, show_one, to_keep
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.sentences import say
from ledger.cli.shown.tables import Column
from ledger.cli.shown.waiting import say_what_is_not_settled
from ledger.cli.typed.notes import (
    NOTE,
    NOTES,
    Note,
    origin_option,
    signed_heads,
    vkey_option,
    witness_options,
)
from ledger.cli.typed.target import Target, pass_target
from ledger.evidence.findings import Fault, FaultKind, Verification
from ledger.evidence.merkle import Checkpoint
from ledger.evidence.notes import VerifierKey
from ledger.evidence.witnesses import WitnessKey
from ledger.log.plain import unstructure
from ledger.log.text import visible
from ledger.service import Ledger
from ledger.service.proving import PROCESSES_MAX

__all__ = ["checkpoint", "processes_default", "verify"]

Kept: TypeAlias = tuple[str, Checkpoint]
"""A checkpoint, and where it stands."""

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
    "--checkpoint",
    "signed",
    type=NOTES,
    multiple=True,
    help="A checkpoint that --vkey has signed, or a folder of them: the entries that it covers "
    "must be unchanged. Repeatable.",
)
@click.option(
    "--since",
    type=NOTE,
    help="Check what is new since this checkpoint, signed by --vkey or JSON, and a part of the "
    "older entries: another part each day.",
)
@click.option(
    "--again",
    type=click.IntRange(1),
    help="With --since, how many parts of 16,384 older entries are checked; 1 if not given.",
)
@vkey_option
@origin_option
@witness_options
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
    signed: tuple[tuple[Note, ...], ...],
    since: Note | None,
    again: int | None,
    vkeys: tuple[VerifierKey, ...],
    origin: str | None,
    witnesses: tuple[WitnessKey, ...],
    quorum: int | None,
    repair: bool,
    processes: int | None,
    form: Form | None,
) -> None:
    """Check the tables, every chain, and every stored cursor against its entries.

    All faults are listed, and the exit code is 5 if there are any. It also says how many entries no
    checkpoint covers, and what is unusual but not a fault. Only stored cursors can be repaired, and
    only if their entries have no fault, and the kept tree: the log itself is never changed.

    With --since, entries under that checkpoint are not all read. It says how many were not; if
    anything is wrong, everything is read.
    """
    if again and since is None:
        raise click.UsageError("--again needs --since, because without it all entries are checked.")
    trusted = vkeys, origin, witnesses, quorum
    first, kept = _kept(since, kept_in, chain.from_iterable(signed), trusted)
    names = [name for name, _ in (*first, *kept)]
    progress = Progress()
    with target.open() as book:
        if repair:
            _repair(book, progress)
        found = book.verify(
            [each for _, each in kept],
            since=first[0][1] if first else None,
            again=again or 1,
            progress=lambda done: progress.say(f"{done:,} entries checked"),
            processes=processes or processes_default(),
        )
    progress.clear()
    with _even_if_unread(found):
        match fitting(form):
            case Form.JSON | Form.JSONL | Form.TEMPLATE:
                show_one(found, [], form, plain=_plain)
            case Form.CSV:
                show(_rows(found), [], form, of=[Fault], plain=dict)
                for line in _covered(found, names):
                    say(line, err=True)
            case Form.TABLE | Form.WIDE:
                show(found.faults, _FAULTS, form, none="")
                if found.ok:
                    say(f"{_ok(found)}: {_size(found)}, root {_root(found)}")
                for line in _covered(found, names):
                    say(line)
    if not found.ok:
        _say_faults(found, form, repaired=repair, in_file=target.file is not None)
        context.exit(EXIT_NOT_VERIFIED)


def _say_faults(found: Verification, form: Form | None, *, repaired: bool, in_file: bool) -> None:
    """Print how many faults there are, and below a table what to do next about them."""
    say(f"{_count(len(found.faults), 'fault')} in {_size(found)}.", err=True)
    if fitting(form) in {Form.TABLE, Form.WIDE}:
        for step in remedies(found.faults, repaired=repaired, in_file=in_file):
            say(step, err=True)


@contextmanager
def _even_if_unread(found: Verification) -> Iterator[None]:
    """Let the exit code say that there are faults, also if the output cannot be written."""
    try:
        yield
        if not found.ok:
            streams.flush_output()
    except OSError:
        if found.ok:
            raise
        streams.abandon_output()


@click.command()
@click.option(
    "--sign",
    "key",
    type=click.Path(exists=True, dir_okay=False),
    help="Print a signed checkpoint, by the key in this file: keep it for verify --checkpoint.",
)
@click.option(
    "--origin",
    help="The name of the ledger, for a checkpoint that is not signed. A key has its own.",
)
@form_options
@pass_target
def checkpoint(target: Target, key: str | None, origin: str | None, form: Form | None) -> None:
    """Print the Merkle root over all entries: keep it elsewhere for verify --against.

    It is a JSON line wherever it is printed, because that is what verify --against reads. Signed,
    it is a note that others can verify (https://c2sp.org/tlog-checkpoint). A key signs no ledger
    that does not begin with the entries that it signed before.
    """
    if key and (form or origin):
        raise click.UsageError("A signed checkpoint has one form, and the origin of its key.")
    with target.open() as book:
        if key:
            click.echo(book.sign(key), nl=False)
        else:
            show_one(book.checkpoint(origin=origin), _CHECKPOINT, to_keep(form))
        say_what_is_not_settled(book)


_CHECKPOINT = [
    Column("entries", lambda kept: f"{kept.entries:,}", kind=Kind.NUMBER, spared=1),
    Column("position", lambda kept: str(kept.position), kind=Kind.NUMBER, spared=1),
    # Whole: a root with a part missing proves nothing.
    Column("root", lambda kept: kept.root.hex(), kind=Kind.NUMBER),
]

_FAULTS = [
    Column("fault", lambda fault: fault.kind, field="kind"),
    Column(
        "position",
        lambda fault: "" if fault.position is None else str(fault.position),
        kind=Kind.NUMBER,
    ),
    Column("cursor", lambda fault: visible(fault.place), kind=Kind.NAME, field="place"),
    Column("detail", lambda fault: visible(fault.detail)),
]


def _kept(
    since: Note | None,
    kept_in: Iterable[BinaryIO],
    signed: Iterable[Note],
    trusted: tuple[Sequence[VerifierKey], str | None, Sequence[WitnessKey], int | None],
) -> tuple[list[Kept], list[Kept]]:
    """Return the checkpoint of --since, if there is one, and all others."""
    notes, first = list(signed), list[Kept]()
    if since is not None:
        if (checkpoint := last_checkpoint(since)) is not None:
            first = [(since.name, checkpoint)]
        elif not trusted[0]:
            raise click.UsageError("--since has a signed checkpoint, which needs --vkey.")
        else:
            notes.insert(0, since)
    heads = [(name, head.checkpoint) for name, head in signed_heads(notes, *trusted)]
    if since is not None and not first:
        first = [heads.pop(0)]
    return first, [*(each for file in kept_in for each in checkpoints(file)), *heads]


def processes_default() -> int:
    """Return how many processes check a log if nobody says: one for each processor, but few."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(there or 1, PROCESSES_DEFAULT_MAX)


def _repair(book: Ledger, progress: Progress) -> None:
    made = book.rebuild(progress=lambda done: progress.say(f"{done:,} entries read"))
    progress.clear()
    repaired = [fault for fault in made.repaired if fault.kind != FaultKind.TREE]
    for fault in repaired:
        say(f"repaired: {visible(fault.place)}: {visible(fault.detail)}", err=True)
    if len(repaired) < len(made.repaired):
        say(
            "removed: all rows of ledger_tree, because some were wrong; the next checkpoint makes "
            "them again",
            err=True,
        )
    for fault in made.left:
        say(f"not repaired: {visible(fault.place)}: {visible(fault.detail)}", err=True)
    say(f"{len(repaired):,} of {_count(made.cursors, 'stored cursor')} repaired", err=True)


def _covered(found: Verification, names: list[str]) -> Iterator[str]:
    if (partial := found.partial) is not None:
        yield (
            f"{_entries(partial.unread)} not read: only their tree was compared with "
            f"{visible(names[0])}. {partial.again:,} older ones were read, others each day: "
            f"{_count(partial.turns, 'day')} read all"
        )
    for anomaly in found.anomalies:
        yield f"unusual, but not a fault: {visible(str(anomaly))}"
    for name, compared in zip(names, found.against, strict=True):
        yield f"{visible(name)}: {compared.standing}, {_entries(compared.checkpoint.entries)}"
    if found.archived and found.ok:
        yield (
            f"{_entries(found.archived)} before them were archived and removed: their digests are "
            "there, and what they said is checked by verify-evidence, in the archive"
        )
    if found.unsettled:
        yield (
            f"{_entries(found.unsettled)} not settled yet: an open transaction may still append "
            "before them, so the root does not cover them"
        )
    if found.unvouched and found.ok:
        by = "checkpoint that was given" if names else "checkpoint"
        yield (
            f"{_entries(found.unvouched)} not covered by a {by}: run {command_name()} checkpoint, "
            "and keep its output outside the database"
        )


def _plain(found: Verification) -> dict[str, object]:
    said: dict[str, object] = {"ok": found.ok, **unstructure(found)}
    if found.partial is None:
        del said["partial"]
    return said


def _ok(found: Verification) -> str:
    return "ok" if found.partial is None else "ok as far as it was read"


def _root(found: Verification) -> str:
    return found.checkpoint.root.hex()


def _size(found: Verification) -> str:
    if found.partial is not None:
        # The cursors are those that were compared, and not all that have such an entry.
        return f"{_entries(found.entries)} and {_count(found.cursors, 'stored cursor')}"
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
    return [{"kind": _ok(found), "place": "the log", "detail": detail}]
