"""The commands for bundles of evidence: `evidence` and `verify-evidence`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import click

from ledger import files
from ledger.cli.commands.proofs import PROVED, plain_proved
from ledger.cli.shown.forms import Form, fitting, form_options, show, show_one
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.records import names_of
from ledger.cli.shown.sentences import say
from ledger.cli.shown.tables import Column
from ledger.cli.shown.waiting import say_what_is_not_settled
from ledger.cli.typed.filters import entry_filters, entry_query
from ledger.cli.typed.keys import key, known
from ledger.cli.typed.notes import (
    NOTE,
    Note,
    about,
    check_witnesses,
    origin_option,
    say_witnesses,
    vkey_option,
    witness_options,
)
from ledger.cli.typed.target import Target, pass_target
from ledger.errors import InvalidCursorError
from ledger.evidence.bundled import ProvedEvidence, verify_evidence
from ledger.evidence.bundles import EvidenceKind
from ledger.evidence.key_files import SIGNED
from ledger.evidence.notes import VerifierKey
from ledger.evidence.tree_heads import TreeHead
from ledger.evidence.witnesses import WitnessKey
from ledger.law.events import Entry
from ledger.law.queries import EntryQuery
from ledger.log.columns import KEY
from ledger.log.text import visible
from ledger.service import Ledger

__all__ = ["check_output", "evidence", "verify_bundle"]

OUTPUT_BYTES = 65_536
CURSORS_NAMED_MAX = 10
# The file is read twice for what is in it, and no pipe can be.
_TWICE = "--entries reads FILE twice, which cannot be done with a pipe; name a file."


@click.command()
@click.argument(
    "cursor", nargs=-1, metavar="[CONSUMER STREAM [SUBJECT]]", shell_complete=known("consumer_id")
)
@click.option("--checkpoint", "note", type=NOTE, help="The signed checkpoint to prove it in.")
@click.option(
    "--sign",
    "key_file",
    type=click.Path(dir_okay=False),
    help="Sign a new one, by the key in this file.",
)
@click.option(
    "--since-note",
    "since_note",
    type=NOTE,
    help="Prove with chosen entries that the ledger only grew since this older checkpoint.",
)
@entry_filters
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write to this file, which only you may read; - is standard output.",
)
@click.option(
    "--verifier",
    is_flag=True,
    help="Print the program that verifies bundles and proofs with Python and openssl alone.",
)
@pass_target
def evidence(
    target: Target,
    /,
    cursor: tuple[str, ...],
    note: Note | None,
    key_file: str | None,
    since_note: Note | None,
    output: str | None,
    verifier: bool,
    **given: Any,
) -> None:
    """Write entries, and what proves them, to a FILE that verify-evidence needs no ledger for.

    It has all entries under a signed checkpoint, and proves that nothing is left out. With a cursor
    or a filter, it has the entries that match all of them: it proves that they are there, and
    nothing about those that it leaves out. Give FILE only to those who may read its entries.
    """
    if verifier:
        _print_verifier(output, target, [*cursor, note, key_file, since_note, *given.values()])
        return
    if (note is None) == (key_file is None):
        raise click.UsageError("Name either --checkpoint FILE, or --sign KEY.")
    if output is None:
        raise click.UsageError("Name the file to write with -o FILE; -o - is standard output.")
    check_output(output, target, key_file, (note, since_note))
    with target.open() as book:
        query = _query(book, cursor, given)
        if query is None and since_note is not None:
            raise click.UsageError(
                "--since-note is of use with a cursor or a filter: all entries prove what any "
                "older checkpoint is over."
            )
        for each in filter(None, (note, since_note)):
            with about(each):  # before anything is signed
                TreeHead.unverified(each.data)
        note = note or Note(f"the checkpoint of {key_file}", book.sign(key_file or "").encode())
        with about(note):
            listed = _write(book, note, query, since_note, output)
        if key_file is not None:
            say_what_is_not_settled(book)
    head = TreeHead.unverified(note.data)
    said = f"{listed:,} of the {_entries(head.entries)} of {visible(head.origin)}"
    if query is None:
        say(f"{said}: complete, so that nothing is left out", err=True)
    else:
        say(f"{said}: selected; left-out entries are not excluded", err=True)


@click.command("verify-evidence")
@click.argument("file", type=click.File("rb"))
@vkey_option
@origin_option
@witness_options
@click.option(
    "--checkpoint",
    "since",
    type=NOTE,
    help="An older checkpoint that you kept: all that it covers must still be there.",
)
@click.option("--entries", "lists", is_flag=True, help="Show the entries that are in FILE.")
@form_options
def verify_bundle(
    file: BinaryIO,
    vkeys: tuple[VerifierKey, ...],
    origin: str | None,
    witnesses: tuple[WitnessKey, ...],
    quorum: int | None,
    since: Note | None,
    lists: bool,
    form: Form | None,
) -> None:
    """Check the bundle of evidence in FILE, without a ledger.

    It proves nothing by itself: what you trust is the --vkey, which you must have from somebody you
    know, and not from whoever gave you FILE. The exit code is 5 if it is not proved.
    """
    if not vkeys:
        raise click.UsageError("Name the key that you trust: --vkey VKEY.")
    if lists and not file.seekable():
        raise click.UsageError(_TWICE)
    progress = Progress()
    with about(Note(file.name, b"")):
        try:
            proved = verify_evidence(
                file,
                vkeys,
                origin=origin,
                since=since.data if since else None,
                progress=lambda done: progress.say(f"{done:,} entries verified"),
            )
        finally:
            progress.clear()
        say_witnesses(check_witnesses(proved.note, witnesses, quorum))
        sentences = list(_sentences(proved, since))
        if lists:
            for sentence in sentences:
                say(sentence, err=True)
            show(proved.entries(), PROVED, form, of=_CSV, plain=plain_proved)
        elif fitting(form) in {Form.TABLE, Form.WIDE}:
            for sentence in sentences:
                say(sentence)
        else:
            show_one(proved, _SUMMARY, form, plain=_plain)


_SUMMARY = [
    Column("origin", lambda proved: visible(proved.head.origin), kind=Kind.NAME),
    Column("entries", lambda proved: f"{proved.head.entries:,}", kind=Kind.NUMBER),
    Column("kind", lambda proved: proved.kind.value),
    Column("listed", lambda proved: f"{proved.listed:,}", kind=Kind.NUMBER),
]

_CSV = [
    *("origin", "entries", "root", "index"),
    *(name for name in names_of(Entry) if name != "position"),
]


def _write(
    book: Ledger, note: Note, query: EntryQuery | None, since: Note | None, output: str
) -> int:
    """Write the bundle, and return how many entries it has."""
    progress = Progress()
    lines = book.evidence(
        note.data,
        query,
        since=since.data if since else None,
        progress=lambda done: progress.say(f"{done:,} entries read"),
    )
    parts = _Parts(lines)
    try:
        if output == "-":
            for part in parts:
                click.echo(part, nl=False)
        else:
            files.write(output, parts)
    finally:
        progress.clear()
    return parts.lines - 2  # without the first line and the last


class _Parts:
    """Lines in parts of a size that is written at once, counted."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = lines
        self.lines = 0

    def __iter__(self) -> Iterator[bytes]:
        part: list[bytes] = []
        size = 0
        for line in self._lines:
            self.lines += 1
            part.append(line)
            size += len(line)
            if size >= OUTPUT_BYTES:
                yield b"".join(part)
                part, size = [], 0
        yield b"".join(part)


def _query(book: Ledger, cursor: tuple[str, ...], given: dict[str, Any]) -> EntryQuery | None:
    """Return the query for a cursor and the filters; None if all entries are wanted."""
    query = entry_query(book, **given)
    if len(cursor) > len(KEY):
        raise click.UsageError("A cursor is CONSUMER STREAM [SUBJECT].")
    if cursor:
        if query.consumer_id or query.stream_name or query.subject_id:
            raise click.UsageError(
                "Name the cursor, or choose with --consumer, --stream and --subject."
            )
        first, *rest = cursor
        found = key(first, rest[0] if rest else None, rest[1] if len(rest) > 1 else "")
        query = attrs.evolve(query, key=book.get(found).key)
    return None if query == EntryQuery() else query


def check_output(
    output: str, target: Target, key_file: str | None, notes: Iterable[Note | None]
) -> None:
    """Refuse to write over the ledger, the key, or a note that is read."""
    if output == "-":
        if sys.stdout.isatty():
            raise click.UsageError("A bundle is for a file or a pipe: name a file with -o FILE.")
        return
    place = Path(output)
    read = [note.name for note in notes if note]
    if key_file is not None:
        read += [key_file, key_file + SIGNED]
    for name in read:
        if place.exists() and Path(name).exists() and place.samefile(name):
            raise InvalidCursorError(f"{output!r} is {name!r}, which is read. Choose another name.")
    files.check(place, ledger=target.file)


def _print_verifier(output: str | None, target: Target, others: Iterable[object]) -> None:
    from importlib.resources import files as resources

    if any(others):
        raise click.UsageError("--verifier goes with -o FILE, and with nothing else.")
    program = (resources("ledger.evidence") / "standalone.py").read_bytes()
    if output in {None, "-"}:
        click.echo(program, nl=False)
    else:
        files.check(output, ledger=target.file)
        files.write(output, program)


def _sentences(proved: ProvedEvidence, since: Note | None) -> Iterator[str]:
    head = proved.head
    of = f"the {_entries(head.entries)} of {visible(head.origin)}"
    if proved.kind is EvidenceKind.COMPLETE:
        yield f"proved: complete: {of}, up to where the checkpoint ends; nothing is left out"
    else:
        yield f"proved: selected: {proved.listed:,} of {of}; left-out entries are not excluded"
    names = [visible(str(each)) for each in proved.cursors[:CURSORS_NAMED_MAX]]
    more = len(proved.cursors) - len(names)
    noun = "cursor" if len(proved.cursors) == 1 else "cursors"
    if names:
        rest = f" and {more:,} more" if more else ""
        yield f"{len(proved.cursors):,} {noun}: {', '.join(names)}{rest}"
    if proved.since is not None and since is not None:
        yield f"they begin with the {proved.since.entries:,} of {visible(since.name)}, unchanged"


def _plain(proved: ProvedEvidence) -> dict[str, object]:
    head, since = proved.head, proved.since
    return {
        "origin": head.origin,
        "entries": head.entries,
        "root": head.root.hex(),
        "kind": proved.kind.value,
        "listed": proved.listed,
        "cursors": len(proved.cursors),
        "since": None if since is None else {"entries": since.entries, "root": since.root.hex()},
    }


def _entries(number: int) -> str:
    return f"{number:,} {'entry' if number == 1 else 'entries'}"
