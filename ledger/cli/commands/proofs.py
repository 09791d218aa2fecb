"""The commands for whoever trusts nobody: `proof` and `verify-proof`."""

from __future__ import annotations

from typing import BinaryIO

import click

from ledger.cli.process.hosts import command_name
from ledger.cli.shown.forms import Form, form_options, show_one
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.sentences import say
from ledger.cli.shown.tables import Column
from ledger.cli.shown.waiting import say_what_is_not_settled
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
from ledger.errors import InvalidCursorError, UnprovenError
from ledger.evidence.notes import VerifierKey
from ledger.evidence.proofs import ConsistencyProof, EntryProof, Proved, is_growth
from ledger.evidence.tree_heads import TreeHead
from ledger.evidence.witnesses import WitnessKey
from ledger.law.events import Entry
from ledger.log.plain import unstructure
from ledger.log.text import loads, visible

__all__ = ["PROVED", "plain_proved", "proof", "verify_proof"]

_FILE = click.Path(dir_okay=False)
ENTRY_BYTES_MAX = 1_000_000


@click.command()
@click.argument("position", type=click.IntRange(min=1), required=False)
@click.option(
    "--consistency",
    "old",
    type=NOTE,
    help="Prove instead that a newer checkpoint has all entries of this older one.",
)
@click.option("--checkpoint", "note", type=NOTE, help="The signed checkpoint to prove it in.")
@click.option("--sign", "key_file", type=_FILE, help="Sign a new one, by the key in this file.")
@pass_target
def proof(
    target: Target,
    position: int | None,
    old: Note | None,
    note: Note | None,
    key_file: str | None,
) -> None:
    """Print the proof that the entry at POSITION is in a signed checkpoint.

    It has the entry in it, so whoever gets it reads the entry, and needs no ledger to verify it:
    see verify-proof. Its form is https://c2sp.org/tlog-proof. With --consistency, it is what a
    witness is sent by https://c2sp.org/tlog-witness. To make one reads all entries.
    """
    if (position is None) == (old is None):
        raise click.UsageError("Name either the POSITION of an entry, or --consistency OLD.")
    if (note is None) == (key_file is None):
        raise click.UsageError("Name either --checkpoint FILE, or --sign KEY.")
    with target.open() as book:
        # The older note is read before anything is signed.
        if old is not None:
            with about(old):
                TreeHead.unverified(old.data)
        data = note.data if note is not None else book.sign(key_file or "").encode()
        with about(note or Note(f"the checkpoint of {key_file}", data)):
            made: EntryProof | ConsistencyProof
            if old is not None:
                made = book.prove_growth(old.data, data)
            else:
                made = book.prove(position or 0, data)
        if key_file is not None:
            say_what_is_not_settled(book)
    click.echo(made.text, nl=False)


@click.command("verify-proof")
@click.argument("file", type=NOTE)
@vkey_option
@origin_option
@witness_options
@click.option(
    "--since",
    type=NOTE,
    help="The older checkpoint, for a proof of proof --consistency.",
)
@click.option(
    "--entry",
    type=click.File("rb"),
    help="An entry as entries --jsonl prints it: the proof must be about the same one.",
)
@form_options
def verify_proof(
    file: Note,
    vkeys: tuple[VerifierKey, ...],
    origin: str | None,
    witnesses: tuple[WitnessKey, ...],
    quorum: int | None,
    since: Note | None,
    entry: BinaryIO | None,
    form: Form | None,
) -> None:
    """Check the proof in FILE, without a ledger.

    It proves nothing by itself: what you trust is the --vkey, which you must have from somebody you
    know, and not from whoever gave you FILE. The exit code is 5 if it is not proved.
    """
    if not vkeys:
        raise click.UsageError("Name the key that you trust: --vkey VKEY.")
    with about(file):
        if is_growth(file.data):
            said = _verify_growth(file, vkeys, origin, since, entry)
            cosigned = check_witnesses(ConsistencyProof.parse(file.data).note, witnesses, quorum)
            say(f"proved: {said}")
            say_witnesses(cosigned)
            return
        if since:
            raise click.UsageError(
                f"--since is of use for a proof of growth, and {file.name} is not."
            )
        given = EntryProof.parse(file.data)
        proved = given.verify(vkeys, origin=origin)
        cosigned = check_witnesses(given.note, witnesses, quorum)
        if entry is not None:
            _compare(proved.entry, entry)
    head = proved.head
    said = f"entry {proved.index + 1:,} of {head.entries:,} of {visible(head.origin)}"
    say(f"proved: {said}", err=True)
    say_witnesses(cosigned)
    show_one(proved, PROVED, form, plain=plain_proved)


def _verify_growth(
    file: Note,
    keys: tuple[VerifierKey, ...],
    origin: str | None,
    since: Note | None,
    entry: BinaryIO | None,
) -> str:
    """Return what is proved."""
    if since is None or entry is not None:
        raise click.UsageError(
            f"{file.name} proves that a ledger only grew: name the older checkpoint with --since, "
            "and no --entry."
        )
    proved = ConsistencyProof.parse(file.data)
    head = proved.verify(since.data, keys, origin=origin)
    return (
        f"the {head.entries:,} entries of {visible(head.origin)} begin with the {proved.old:,} of "
        f"{visible(since.name)}"
    )


PROVED = [
    Column("cursor", lambda proved: visible(str(proved.entry.key)), kind=Kind.NAME),
    Column("recorded", lambda proved: proved.entry.recorded_at, kind=Kind.TIME),
    Column("actor", lambda proved: visible(proved.entry.actor), kind=Kind.NAME),
    Column(
        "event",
        lambda proved: unstructure(proved.entry)["event"]["tag"],
        kind=Kind.WORDS,
        spared=1,
    ),
    Column(
        "sequence",
        lambda proved: str(getattr(proved.entry.event, "sequence", "")),
        kind=Kind.NUMBER,
    ),
    Column("reason", lambda proved: visible(getattr(proved.entry.event, "reason", ""))),
]


def plain_proved(proved: Proved) -> dict[str, object]:
    """Return what was proved; the position is not, because a proof counts entries."""
    entry = unstructure(proved.entry)
    del entry["position"]
    head = proved.head
    return {
        "origin": head.origin,
        "entries": head.entries,
        "root": head.root.hex(),
        "index": proved.index,
        **entry,
    }


def _compare(proved: Entry, file: BinaryIO) -> None:
    """Refuse an entry that is not the one that was proved. Its position is not looked at."""
    data = file.read(ENTRY_BYTES_MAX + 1)
    try:
        given = loads(data) if len(data) <= ENTRY_BYTES_MAX else None
    except InvalidCursorError:
        given = None
    said = unstructure(proved)
    if not isinstance(given, dict) or not {"key", "digest", "event"} <= given.keys():
        raise InvalidCursorError(
            f"{file.name} is not one entry; {command_name()} entries --jsonl prints them, one a "
            "line."
        )
    names = sorted({*said, *given} - {"position"})
    differing = [name for name in names if name not in said or said[name] != given.get(name)]
    if differing:
        raise UnprovenError(
            f"it proves another entry than {file.name} has: {', '.join(differing)[:200]} differ."
        )
