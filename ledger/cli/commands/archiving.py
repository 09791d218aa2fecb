"""The command that writes an archive, and believes it only after it was read back."""

from __future__ import annotations

import click

from ledger import files
from ledger.cli.commands.bundles import check_output
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.sentences import say
from ledger.cli.shown.waiting import say_what_is_not_settled
from ledger.cli.typed.notes import NOTE, Note, about, origin_option, vkey_option
from ledger.cli.typed.target import Target, pass_target
from ledger.errors import ArchivedError, InvalidCursorError
from ledger.evidence.archives import Archive
from ledger.evidence.key_files import read_key
from ledger.evidence.notes import SigningKey, VerifierKey
from ledger.evidence.tree_heads import TreeHead
from ledger.log.text import dumps, visible
from ledger.service import Ledger

__all__ = ["archive"]


@click.command()
@click.option("--checkpoint", "note", type=NOTE, help="The signed checkpoint to archive under.")
@vkey_option
@origin_option
@click.option(
    "--sign",
    "key_file",
    type=click.Path(dir_okay=False),
    help="Sign a new one, by the key in this file.",
)
@click.option(
    "--after",
    type=click.Path(exists=True, dir_okay=False),
    metavar="OLD",
    help="The older archive, of entries that prune has removed: FILE has them as well.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    required=True,
    help="Write to this new file, which only you may read.",
)
@pass_target
def archive(
    target: Target,
    note: Note | None,
    vkeys: tuple[VerifierKey, ...],
    origin: str | None,
    key_file: str | None,
    after: str | None,
    output: str,
) -> None:
    """Write all entries under a signed checkpoint to FILE, and verify what the disk gives back.

    FILE is complete evidence: verify-evidence needs no ledger for it, and import makes a ledger of
    it, which every command can ask. It has its name only once it was read from the disk and
    verified. The SHA-256 that is printed tells later whether it is still the same. What is there
    is never written over; the same command after an interrupt finds what it has written.
    """
    if (note is None) == (key_file is None):
        raise click.UsageError("Name either --checkpoint FILE with --vkey, or --sign KEY.")
    if note is not None and not vkeys:
        raise click.UsageError("Name the key that the checkpoint is signed by: --vkey VKEY.")
    if key_file is not None and (vkeys or origin):
        raise click.UsageError("--vkey and --origin go with --checkpoint; --sign knows its own.")
    if output == "-":
        raise click.UsageError("An archive is read back from the disk: name a file with -o FILE.")
    check_output(output, target, key_file, (note, Note(after, b"") if after else None))
    files.check(output, ledger=target.file)
    with target.open() as book:
        if note is not None:
            with about(note):
                made = _archived(book, note.data, output, vkeys, origin, after)
        else:
            own = read_key(key_file or "", SigningKey).verifier
            signed = book.sign(key_file or "").encode()
            made = _archived(book, signed, output, (own,), None, after)
            say_what_is_not_settled(book)
    click.echo(dumps(_plain(made)))
    done = "archived" if made.is_new else "are archived already"
    say(
        f"{_entries(made.head.entries)} of {visible(made.head.origin)} {done}: "
        f"{visible(output)}, read back and verified. Keep what is printed with the verifier key.",
        err=True,
    )


def _archived(
    book: Ledger,
    note: bytes,
    output: str,
    keys: tuple[VerifierKey, ...],
    origin: str | None,
    after: str | None,
) -> Archive:
    entries = TreeHead.unverified(note).entries
    progress = Progress()
    try:
        return book.archive(
            note,
            output,
            keys,
            after=after,
            origin=origin,
            progress=lambda done: progress.say(f"{done:,} of {_entries(entries)}"),
        )
    except ArchivedError as error:
        progress.clear()
        where = f", which has them: {error.file}" if error.file else ""
        raise InvalidCursorError(
            f"entries up to position {error.position} were removed before. Name the archive of "
            f"then with --after{where}."
        ) from None
    finally:
        progress.clear()


def _plain(made: Archive) -> dict[str, object]:
    return {
        "file": made.file,
        "sha256": made.sha256,
        "size": made.size,
        "origin": made.head.origin,
        "entries": made.head.entries,
        "root": made.head.root.hex(),
        "cursors": made.cursors,
    }


def _entries(number: int) -> str:
    return f"{number:,} {'entry' if number == 1 else 'entries'}"
