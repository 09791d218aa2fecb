"""The command that continues a ledger with what `export` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO

import attrs
import click

from ledger.cli.commands.checkpoints import checkpoints
from ledger.cli.process.exits import EXIT_NOT_VERIFIED
from ledger.cli.process.hosts import command_name
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.sentences import say
from ledger.cli.typed.notes import Note, about, origin_option, vkey_option
from ledger.cli.typed.target import Target, pass_target
from ledger.errors import InvalidCursorError, LedgerError, UnprovenError
from ledger.evidence.archives import check_complete
from ledger.evidence.bundled import verify_evidence
from ledger.evidence.merkle import Checkpoint
from ledger.evidence.notes import VerifierKey
from ledger.evidence.tree_heads import TreeHead
from ledger.exchange.entry_lines import entries_of
from ledger.log.plain import unstructure
from ledger.log.text import dumps, visible
from ledger.service import imported
from ledger.writing.importing import Imported, Numbered

__all__ = ["import_lines"]


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--checkpoint",
    "kept_in",
    type=click.File("rb"),
    help="The checkpoint that export --checkpoint wrote: all that it covers must be there "
    "afterwards, unchanged.",
)
@vkey_option
@origin_option
@pass_target
@click.pass_context
def import_lines(
    context: click.Context,
    target: Target,
    file: BinaryIO,
    kept_in: BinaryIO | None,
    vkeys: tuple[VerifierKey, ...],
    origin: str | None,
) -> None:
    """Continue the ledger with FILE, or - for standard input: what export or archive wrote.

    Each line must continue the log: the next version of its cursor, by the law, with the digest
    that follows from what it says and from the entry before it. Positions, times and digests stay.
    The ledger is made if it does not exist. What it has already is compared, so after an interrupt
    the same command goes on.

    The first line that does not continue the log is refused (exit code 3), and so are all behind
    it; what comes before it is imported. At the end, the checkpoint that the ledger has then is
    printed. A file that was cut off between two lines is only noticed with --checkpoint (exit code
    5).

    With --vkey, FILE is what archive wrote, or evidence without filters. All of it is verified as
    by verify-evidence before the first entry is imported.
    """
    if origin is not None and not vkeys:
        raise click.UsageError("--origin goes with --vkey VKEY.")
    if kept_in is not None and vkeys:
        raise click.UsageError("An archive has its own checkpoint: leave out --checkpoint.")
    kept = None if kept_in is None else _kept(kept_in)
    progress = Progress()
    counts = _Counts()

    def count(appended: int, there: int) -> None:
        counts.appended, counts.there = appended, there
        progress.say(f"{counts}")

    head = None
    if vkeys:
        head, lines = _archived(file, vkeys, origin, progress)
    else:
        lines = entries_of(file, command=command_name())
    # What is no export at all makes no ledger.
    first = list(islice(lines, 1))
    with target.open(make=True) as book:
        try:
            done = imported(
                book,
                chain(first, lines),
                entries=head.entries if head else kept.entries if kept else 0,
                progress=count,
            )
        except KeyboardInterrupt:
            progress.clear()
            say("stopped; run the same command again to continue the import", err=True)
            raise
        except LedgerError:
            progress.clear()
            say(f"stopped: {counts}", err=True)
            raise
        finally:
            progress.clear()
    click.echo(dumps(unstructure(done.now)))
    say(
        f"{_Counts(done.appended, done.there)}; the ledger now has {_entries(done.now.entries)}",
        err=True,
    )
    if kept is None and (holes := done.now.position - done.now.entries):
        say(
            f"{holes:,} of the positions up to {done.now.position:,} have no entry. That is usual "
            "on PostgreSQL; from a file, it means that entries were left out. A --checkpoint "
            "tells.",
            err=True,
        )
    if head is not None and (done.then is None or done.then.root != head.root):
        raise UnprovenError(
            f"{file.name} was changed while it was imported: the ledger does not have what was "
            "verified. Import it into a new ledger."
        )
    if kept is not None and (fault := _differing(done, kept)):
        say(f"cursor-ledger: {fault}", err=True)
        context.exit(EXIT_NOT_VERIFIED)


@attrs.define
class _Counts:
    """What became of the lines so far."""

    appended: int = 0
    there: int = 0

    def __str__(self) -> str:
        there = f", {self.there:,} there already" if self.there else ""
        return f"{_entries(self.appended)} imported{there}"


def _archived(
    file: BinaryIO, keys: tuple[VerifierKey, ...], origin: str | None, progress: Progress
) -> tuple[TreeHead, Iterator[Numbered]]:
    """Return what an archive is signed over, and its entries, after all of it was verified."""
    if not file.seekable():
        raise click.UsageError(
            "An archive is verified before it is imported, so it is read twice, which cannot be "
            "done with a pipe; name a file."
        )
    with about(Note(file.name, b"")):
        proved = verify_evidence(
            file,
            keys,
            origin=origin,
            progress=lambda done: progress.say(f"{done:,} entries verified"),
        )
    progress.clear()
    check_complete(visible(file.name), proved)
    # The first line of the file has the note.
    return proved.head, ((each.index + 2, each.entry) for each in proved.entries())


def _kept(file: BinaryIO) -> Checkpoint:
    found = list(checkpoints(file))
    if len(found) != 1:
        raise InvalidCursorError(
            f"{visible(file.name)} has {len(found):,} checkpoints; name the one that export "
            "--checkpoint wrote."
        )
    return found[0][1]


def _differing(done: Imported, kept: Checkpoint) -> str:
    """Return what is wrong if the ledger does not have what the checkpoint covers."""
    if done.then is None:
        return (
            f"the checkpoint covers {_entries(kept.entries)}, and the ledger has "
            f"{done.now.entries:,}: the file was cut off, or is an older export. Get the whole "
            "file, and run the same command again."
        )
    if done.then != kept:
        return (
            f"the first {_entries(kept.entries)} of the ledger are not those that the checkpoint "
            f"covers: their root is {done.then.root.hex()}, that of the checkpoint "
            f"{kept.root.hex()}. The file has left out entries, or the checkpoint is of another "
            "ledger. Import the whole file into a new ledger."
        )
    return ""


def _entries(number: int) -> str:
    return f"{number:,} {'entry' if number == 1 else 'entries'}"
