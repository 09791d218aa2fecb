"""The command that copies a ledger to another file while it is used, and what is said of copies."""

from __future__ import annotations

from pathlib import Path

import click

from ledger import opening, targets
from ledger.cli.commands.verifying import processes_default
from ledger.cli.process.exits import EXIT_NOT_VERIFIED
from ledger.cli.process.hosts import command_name
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.sentences import say
from ledger.cli.typed.target import Target, pass_target
from ledger.evidence.merkle import Checkpoint
from ledger.exchange.backups import Backup
from ledger.log.plain import unstructure
from ledger.log.text import dumps, visible

__all__ = ["backup", "checked", "counted", "refuse_memory"]


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--no-verify",
    is_flag=True,
    help="Do not check the copy before it gets its name, as for a ledger that is damaged.",
)
@pass_target
@click.pass_context
def backup(context: click.Context, target: Target, file: Path, no_verify: bool) -> None:
    """Copy the ledger to FILE as it is now, while others write, and print its checkpoint.

    The copy is one file, which only you may read. It is checked as by verify, and has its name only
    when all of it is on the disk; a file that is there is never written over. Keep the checkpoint
    elsewhere: verify --against tells later whether the backup still has these entries. restore puts
    it back.

    A ledger on PostgreSQL is backed up by pg_dump or pg_basebackup, or copied to a file by copy.
    """
    refuse_memory(target)
    if targets.is_postgres(target.path):
        name = command_name()
        raise click.UsageError(
            "A ledger on PostgreSQL is backed up with the database that it is in: pg_dump "
            "--format=custom --file=FILE URL, or pg_basebackup for the whole server. After "
            f"pg_restore, run {name} --db URL verify --against CHECKPOINT, with what {name} "
            f"checkpoint printed before. To have it as a file, which is a ledger itself: {name} "
            "copy URL FILE."
        )
    with target.open():
        pass  # It says what is wrong with the target.
    progress = Progress()
    made = Backup(source=target.path, file=file, busy_timeout_s=target.busy_timeout_s)
    try:
        with made.made(lambda done, of: progress.say(f"{done:,} of {of:,} pages copied")) as part:
            kept = checked(part, progress, verify=not no_verify)
            if kept is None:
                say(
                    f"cursor-ledger: nothing was backed up. {command_name()} verify says what is "
                    "wrong with the ledger; with --no-verify, it is backed up as it is.",
                    err=True,
                )
                context.exit(EXIT_NOT_VERIFIED)
    finally:
        progress.clear()
    click.echo(dumps(unstructure(kept)))
    done = "not verified" if no_verify else "verified"
    say(
        f"{counted(kept.entries)} backed up to {visible(str(file))}, {done}. Keep the "
        "checkpoint elsewhere, for verify --against.",
        err=True,
    )


def checked(
    file: str, progress: Progress, *, verify: bool, against: tuple[Checkpoint, ...] = ()
) -> Checkpoint | None:
    """Return the checkpoint over a copy, or None if it has faults, which are said."""
    with opening.open(file) as book:
        if verify or against:
            found = book.verify(
                against,
                progress=lambda done: progress.say(f"{done:,} entries checked"),
                processes=processes_default(),
            )
            progress.clear()
            if not found.ok:
                for fault in found.faults[:FAULTS_SHOWN_MAX]:
                    at = "" if fault.position is None else f", position {fault.position}"
                    said = visible(f"{fault.place}{at}: {fault.detail}")
                    say(f"{fault.kind}: {said}", err=True)
                noun = "fault" if len(found.faults) == 1 else "faults"
                say(f"{len(found.faults):,} {noun} in {counted(found.entries)}", err=True)
                return None
        return book.checkpoint()


FAULTS_SHOWN_MAX = 20


def refuse_memory(target: Target) -> None:
    """Refuse a ledger that is in no file.

    Raises UsageError.
    """
    if target.path == ":memory:":
        raise click.UsageError("--db must be a file.")


def counted(number: int) -> str:
    """Return how many entries there are."""
    return f"{number:,} {'entry' if number == 1 else 'entries'}"
