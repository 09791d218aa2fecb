"""The command that moves a ledger to another database."""

from __future__ import annotations

import attrs
import click

from ledger.cli.progress import Progress
from ledger.cli.target import Target, pass_target
from ledger.log.json import unstructure
from ledger.log.text import dumps

__all__ = ["copy"]


@click.command()
@click.argument("source", metavar="SOURCE")
@click.argument("into", metavar="TARGET")
@pass_target
def copy(target: Target, source: str, into: str) -> None:
    """Copy the ledger SOURCE to TARGET, which is made if it does not exist.

    Each is the path of a file or a postgresql:// URL. The entries keep their positions, times and
    digests; at the end both ledgers are compared, and the checkpoint that they share is printed.
    After an interrupt, the same command continues the copy. A TARGET that holds anything else than
    the beginning of SOURCE is refused, and is not changed.
    """
    progress = Progress()
    with (
        attrs.evolve(target, path=source, name="SOURCE").open() as from_book,
        attrs.evolve(target, path=into, name="TARGET").open(make=True) as to_book,
    ):
        try:
            copied = from_book.copy_to(
                to_book, progress=lambda done: progress.say(f"{done:,} entries copied")
            )
        except KeyboardInterrupt:
            progress.clear()
            click.echo("stopped; run the same command again to continue the copy", err=True)
            raise
        finally:
            progress.clear()
    click.echo(dumps(unstructure(copied.checkpoint)))
    noun = "entry" if copied.entries == 1 else "entries"
    click.echo(
        f"{copied.entries:,} {noun} copied; both ledgers now have {copied.checkpoint.entries:,}, "
        "with the same digests",
        err=True,
    )
