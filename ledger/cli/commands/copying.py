"""The command that moves a ledger to another database."""

from __future__ import annotations

from contextlib import ExitStack

import attrs
import click

from ledger.cli.parameters import files
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.sentences import say
from ledger.cli.typed.target import Target, pass_target
from ledger.law.queries import EntryQuery
from ledger.log.plain import unstructure
from ledger.log.text import dumps

__all__ = ["copy"]


@click.command()
@click.argument("source", metavar="SOURCE", shell_complete=files)
@click.argument("into", metavar="TARGET", shell_complete=files)
@click.option("--move", is_flag=True, help="TARGET takes the id of SOURCE, to go on in its place.")
@pass_target
def copy(target: Target, source: str, into: str, *, move: bool) -> None:
    """Copy the ledger SOURCE to TARGET, which is made if it does not exist.

    Each is the path of a file or a postgresql:// URL. The entries keep their positions, times and
    digests; at the end both ledgers are compared, and the checkpoint that they share is printed.
    After an interrupt, the same command continues the copy. A TARGET that holds anything else than
    the beginning of SOURCE is refused, and is not changed.

    A copy is another ledger, with an id of its own. With --move it has that of SOURCE: stop the
    writers of SOURCE before, and put it away afterwards.
    """
    progress = Progress()
    with ExitStack() as opened:
        from_book = opened.enter_context(attrs.evolve(target, path=source, name="SOURCE").open())
        # One whose first entries were removed is refused before TARGET is made.
        next(iter(from_book.entries(EntryQuery(position_from=1, limit=1))), None)
        to_book = opened.enter_context(
            attrs.evolve(target, path=into, name="TARGET").open(make=True)
        )
        try:
            copied = from_book.copy_to(
                to_book, move=move, progress=lambda done: progress.say(f"{done:,} entries copied")
            )
        except KeyboardInterrupt:
            progress.clear()
            say("stopped; run the same command again to continue the copy", err=True)
            raise
        finally:
            progress.clear()
    click.echo(dumps(unstructure(copied.checkpoint)))
    noun = "entry" if copied.entries == 1 else "entries"
    say(
        f"{copied.entries:,} {noun} copied; both ledgers now have {copied.checkpoint.entries:,}, "
        "with the same digests",
        err=True,
    )
