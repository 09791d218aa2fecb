"""The command that removes what is in an archive from the ledger."""

from __future__ import annotations

import click

from ledger import targets
from ledger.cli.commands.backing_up import counted, refuse_memory
from ledger.cli.process.hosts import command_name
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.sentences import say
from ledger.cli.typed.notes import Note, about, origin_option, vkey_option
from ledger.cli.typed.options import actor_option
from ledger.cli.typed.target import Target, default_actor, pass_target
from ledger.evidence.notes import VerifierKey
from ledger.exchange.pruning import Cut, Pruning
from ledger.log.text import dumps, show_time, visible

__all__ = ["prune"]


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@vkey_option
@origin_option
@click.option("--reason", required=True, help="Why entries are removed. Kept for ever.")
@actor_option
@click.option("--execute", is_flag=True, help="Remove them. Without it, nothing is changed.")
@pass_target
@click.pass_context
def prune(
    context: click.Context,
    target: Target,
    file: str,
    vkeys: tuple[VerifierKey, ...],
    origin: str | None,
    reason: str,
    actor: str | None,
    execute: bool,
) -> None:
    """Plan to remove the entries that the archive FILE has; with --execute, remove them.

    FILE is verified again, and each digest in it compared with the ledger. Nothing is removed that
    is younger than retention keep allows, or while a hold is in force. The digests of what is
    removed stay, so that checkpoints and proofs of what is left go on working; what is removed is
    asked of the archive, which import makes a ledger of.

    Stop what uses the ledger first: while another program has it open, nothing is removed (exit
    code 75). The removal is an entry itself, with the actor and the reason.
    """
    refuse_memory(target)
    if targets.is_postgres(target.path):
        raise click.UsageError(
            "Nothing is removed from a ledger on PostgreSQL: whoever reads it meanwhile would not "
            f"notice. Keep it, or copy it to a file, which is pruned: {command_name()} copy URL "
            "FILE."
        )
    if not vkeys:
        raise click.UsageError("Name the key that FILE is signed by: --vkey VKEY.")
    if not reason.strip():
        raise click.UsageError("Say why entries are removed: --reason WHY.")
    with target.open(actor=actor):
        pass  # It says what is wrong with the target, or with the actor.
    progress = Progress()
    wanted = Pruning(
        file=file,
        path=target.path,
        keys=vkeys,
        origin=origin,
        busy_timeout_s=target.busy_timeout_s,
        progress=progress.say,
    )
    try:
        with about(Note(file, b"")):
            if not execute:
                cut = wanted.planned()
                progress.clear()
                _say_plan(cut, file)
                context.exit(0)
            done = wanted.executed(reason=reason, actor=actor or target.actor or default_actor())
    finally:
        progress.clear()
    cut = done.cut
    click.echo(
        dumps(
            {
                "file": file,
                "sha256": cut.archive.sha256,
                "entries": cut.archive.head.entries,
                "position": cut.position,
                "bytes_before": done.before,
                "bytes_after": done.after,
            }
        )
    )
    if cut.is_done:
        say(
            f"{counted(cut.archive.head.entries)} were removed before; nothing is left to do",
            err=True,
        )
        return
    say(
        f"{counted(cut.archive.head.entries)} up to position {cut.position:,} removed, which "
        f"{visible(file)} has. Keep it: nothing else has them.",
        err=True,
    )


def _say_plan(cut: Cut, file: str) -> None:
    archived = cut.archive.head.entries
    if cut.is_done:
        say(f"{counted(archived)} were removed before; nothing is left to do")
        return
    newest = show_time(cut.latest)
    say(f"{counted(archived)} up to position {cut.position:,}, the newest of {newest}")
    say(f"archived in {visible(file)}, SHA-256 {cut.archive.sha256}", indent=2)
    left = cut.entries - archived
    stay = "stays" if left == 1 else "stay"
    say(f"{counted(left)} {stay}, and the digests of all", indent=2)
    say("Nothing was changed. To remove them, add --execute.")
