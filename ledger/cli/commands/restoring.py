"""The command that puts a backup in the place of a ledger, and says what it takes back."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from typing import BinaryIO

import click

from ledger import targets
from ledger.cli.commands.backing_up import checked, counted, refuse_memory
from ledger.cli.commands.checkpoints import checkpoints
from ledger.cli.parameters import Parameter
from ledger.cli.process.exits import EXIT_FAILED, EXIT_NOT_VERIFIED, EXIT_REFUSED
from ledger.cli.process.hosts import command_name
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.sentences import say
from ledger.cli.typed.target import Target, pass_target
from ledger.evidence.merkle import Checkpoint
from ledger.exchange.restoring import Compared, Moved, Replacement, Signer, Unreadable
from ledger.law.reserved import is_reserved
from ledger.log.plain import unstructure
from ledger.log.text import dumps, visible

__all__ = ["restore"]

UNKNOWN = "unknown"


class _Lost(Parameter[int | str]):
    """How many entries may be lost, or that nobody knows."""

    name = "lost"

    def convert(
        self, value: int | str, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Return the number, or the word."""
        text = str(value).replace(",", "")
        if text == UNKNOWN:
            return UNKNOWN
        if not (text.isascii() and text.isdigit()):
            self.fail(f"{value!r} must be a number of entries, or {UNKNOWN}.", param, ctx)
        return int(text[:20])


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--key",
    "keys",
    type=click.Path(exists=True, dir_okay=False),
    multiple=True,
    help="A key that signs this ledger: say whether it still can, after this. Repeatable.",
)
@click.option(
    "--lose",
    type=_Lost(),
    metavar="N",
    help="Go back although the ledger has N entries that the backup has not; unknown, if it cannot "
    "be read.",
)
@click.option(
    "--against",
    "kept_in",
    type=click.File("rb"),
    multiple=True,
    help="A file of checkpoints that were kept: the backup must have the entries that each covers, "
    "unchanged. Repeatable.",
)
@click.option(
    "--replace-tables",
    is_flag=True,
    help="Also replace the tables of others that are in the file of the ledger.",
)
@click.option("--no-verify", is_flag=True, help="Do not check the backup before.")
@pass_target
@click.pass_context
def restore(
    context: click.Context,
    target: Target,
    file: str,
    keys: tuple[str, ...],
    lose: int | str | None,
    kept_in: tuple[BinaryIO, ...],
    replace_tables: bool,
    no_verify: bool,
) -> None:
    """Put the backup FILE in the place of the ledger, which is kept beside it.

    Stop what uses the ledger first: while another program has it open, nothing is restored (exit
    code 75). The backup is checked as by verify, and copied; FILE stays. If the ledger has entries
    that the backup has not, they are counted, with the cursors that go back; a terminal is asked,
    and a script is refused without --lose (exit code 3).

    What was confirmed after the backup was made is delivered again. A key that has signed more
    than the backup has signs it no more: --key says so.

    A ledger on PostgreSQL is restored by pg_restore, or from a file by copy.
    """
    refuse_memory(target)
    if targets.is_postgres(target.path):
        name = command_name()
        raise click.UsageError(
            "A ledger on PostgreSQL is restored with the database that it is in, by pg_restore; a "
            f"file is copied into an empty schema by {name} copy FILE URL. Afterwards, run {name} "
            f"--db URL verify --against CHECKPOINT. {name} --db URL checkpoint --sign KEY is "
            "refused if that key has signed entries that are lost."
        )
    targets.checked(target.path)
    kept = tuple(each for kept_file in kept_in for _, each in checkpoints(kept_file))
    progress = Progress()
    wanted = Replacement(backup=file, path=target.path, busy_timeout_s=target.busy_timeout_s)
    try:
        with wanted.prepared(
            lambda done, of: progress.say(f"{done:,} of {of:,} pages copied")
        ) as ready:
            now = checked(ready.part, progress, verify=not no_verify, against=kept)
            if now is None:
                say("cursor-ledger: the backup is not sound, and was not restored.", err=True)
                context.exit(EXIT_NOT_VERIFIED)
            before = ready.compared()
            if not isinstance(before, Unreadable) and not replace_tables:
                _refuse_other_tables(ready, before)
            signers = [ready.signer(key) for key in keys]
            _say_what_changes(before, signers)
            _ask(context, before, lose)
            try:
                old = ready.put(before)
            except KeyboardInterrupt:
                done = (
                    "the backup is in its place" if ready.is_in_place() else "nothing was changed"
                )
                say(f"cursor-ledger: interrupted; {done}.", err=True)
                raise
    finally:
        progress.clear()
    _say_what_was_done(target, before, now, old)


def _refuse_other_tables(ready: Replacement, before: Compared | None) -> None:
    names = [] if before is None else ready.other_tables()
    if names:
        said = visible(", ".join(names))
        raise click.UsageError(
            f"The file has tables of others beside the ledger's ({said:.200}), which would be "
            "replaced by those of the backup, too. If that is meant, add --replace-tables."
        )


def _say_what_changes(before: Compared | Unreadable | None, signers: Iterable[Signer]) -> None:
    if isinstance(before, Unreadable):
        say(f"the ledger cannot be read: {visible(str(before.error))}", err=True)
    elif before is not None and before.lost:
        _say_lost(before)
    for signer in signers:
        say(visible(_signer_in_words(signer)), err=True)


def _say_lost(before: Compared) -> None:
    if before.diverged:
        say(
            f"the backup is of another history: both begin with {counted(before.shared)}, after "
            f"which the ledger has {before.lost:,} of its own, and the backup "
            f"{before.backup - before.shared:,}",
            err=True,
        )
    else:
        say(
            f"the ledger has {counted(before.lost)} more than the {before.backup:,} of the backup",
            err=True,
        )
    noun = "cursor goes" if before.cursors == 1 else "cursors go"
    say(f"{before.cursors:,} {noun} back:", err=True)
    for moved in before.moved:
        say(visible(_moved_in_words(moved)), err=True, indent=2)
    if more := before.cursors - len(before.moved):
        say(f"and {more:,} more", err=True, indent=2)


def _moved_in_words(moved: Moved) -> str:
    was, now = moved.was, moved.now
    if now is None:
        return f"{was.key} from {was.last_sequence} to nothing: the backup has no entry of it"
    epochs = "" if was.epoch == now.epoch else f", epoch {was.epoch} to {now.epoch}"
    said = f"{was.key} from {was.last_sequence} to {now.last_sequence}{epochs}"
    again = was.last_sequence - now.last_sequence
    # The ledger's own cursors deliver nothing.
    if again <= 0 or is_reserved(was.key.consumer_id):
        return said
    return f"{said}: {again:,} {'is' if again == 1 else 'are'} delivered again"


def _signer_in_words(signer: Signer) -> str:
    if signer.begins_so:
        return (
            f"{signer.place} has signed {counted(signer.signed)} of {signer.origin}, which the "
            "backup begins with: it can sign on"
        )
    lost = signer.signed - signer.backup
    if lost > 0:
        were = "was signed is" if lost == 1 else "were signed are"
        return (
            f"{signer.place} has signed {counted(signer.signed)} of {signer.origin}, and the "
            f"backup has {signer.backup:,}: {lost:,} that {were} lost. "
            "It will refuse to sign until they are there again, as by import of an export that has "
            "them. Otherwise make another key, and tell those who verify"
        )
    return (
        f"{signer.place} has signed {counted(signer.signed)} of {signer.origin}, and they are not "
        "those that the backup begins with. It will refuse to sign it: make another key, and tell "
        "those who verify"
    )


def _ask(
    context: click.Context, before: Compared | Unreadable | None, lose: int | str | None
) -> None:
    """End the command unless somebody has said that what is lost may be lost."""
    if before is None or (isinstance(before, Compared) and not before.lost):
        return
    wanted: int | str = before.lost if isinstance(before, Compared) else UNKNOWN
    if lose == wanted:
        return
    if lose is None and sys.stdin.isatty() and sys.stderr.isatty():
        click.echo(f"To restore the backup all the same, type {wanted}: ", nl=False, err=True)
        if sys.stdin.readline().strip() == str(wanted):
            return
        say("Nothing was changed.", err=True)
        context.exit(EXIT_FAILED)
    say(
        f"cursor-ledger: nothing was changed. To restore the backup all the same, add --lose "
        f"{wanted}.",
        err=True,
        hanging=2,
    )
    context.exit(EXIT_REFUSED)


def _say_what_was_done(
    target: Target, before: Compared | Unreadable | None, now: Checkpoint, old: str
) -> None:
    click.echo(dumps(unstructure(now)))
    say(f"{visible(target.path)} has the {counted(now.entries)} of the backup", err=True)
    if not old:
        return
    said = f"what was there is kept in {visible(old)}"
    if isinstance(before, Compared) and before.lost:
        command = f"{command_name()} --db {shlex.quote(visible(old))} entries --from-position"
        said += f"; what is lost: {command} {before.position + 1}"
    say(said, err=True)
