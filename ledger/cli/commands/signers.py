"""The commands of those who sign: `key`, and `cosign` for a witness."""

from __future__ import annotations

import click

from ledger.cli.shown.sentences import say
from ledger.cli.typed.notes import NOTE, Note, about, origin_option, vkey_option
from ledger.cli.typed.target import Target, pass_target
from ledger.errors import InvalidCursorError
from ledger.evidence.key_files import SIGNED, make_key, read_key, refuse_there
from ledger.evidence.keys import PublicKey
from ledger.evidence.notes import SigningKey, VerifierKey
from ledger.evidence.tree_heads import TreeHead
from ledger.evidence.witnesses import CosigningKey
from ledger.evidence.witnessing import cosign as cosign_with
from ledger.evidence.witnessing import make_witness
from ledger.log.text import visible
from ledger.opening import utc_now

__all__ = ["cosign", "key"]

_FILE = click.Path(dir_okay=False)


@click.group()
def key() -> None:
    """Make a key that signs or cosigns checkpoints, or show the key that verifies them.

    Signatures are Ed25519, in the formats of https://c2sp.org/signed-note.
    """


@key.command("new")
@click.argument("file", type=_FILE)
@click.option(
    "--origin",
    help="The name of the ledger for others, such as example.com/orders. Without it, the ledger is "
    "named by its id, which one in a file then gets.",
)
@click.option(
    "--witness",
    "witness",
    help="Make the key of a witness instead, who is called so, such as example.net/ines: it "
    "cosigns the checkpoints of a ledger that somebody else keeps. See cosign.",
)
@pass_target
def new_key(target: Target, file: str, origin: str | None, witness: str | None) -> None:
    """Make a key in FILE, and print the verifier key, for others.

    Only you may read FILE. What it has signed last is beside it, in FILE.signed: keep both, and
    keep them away from where the ledger is. A file that is there is never written over.
    """
    if witness is not None:
        if origin is not None:
            raise click.UsageError(
                "A witness takes no --origin: it watches the ledger that it cosigns first."
            )
        click.echo(_made_witness(file, witness).verifier.text)
        return
    # Before the ledger is given an id for it.
    refuse_there(file)
    origin = origin or _own_origin(target)
    made = make_key(file, origin)
    say(f"{file} signs for {origin}; {file}{SIGNED} has what it signed last.", err=True)
    click.echo(made.verifier.text)


@key.command("show")
@click.argument("file", type=_FILE)
def show_key(file: str) -> None:
    """Print the verifier key of the key in FILE, for others."""
    try:
        verifier: PublicKey = read_key(file, SigningKey).verifier
    except InvalidCursorError as error:
        try:
            verifier = read_key(file, CosigningKey).verifier
        except InvalidCursorError:
            raise error from None
    click.echo(verifier.text)


@click.command()
@click.argument("file", type=NOTE)
@click.option("--key", "key_file", type=_FILE, required=True, help="The file of your key.")
@vkey_option
@origin_option
def cosign(file: Note, key_file: str, vkeys: tuple[VerifierKey, ...], origin: str | None) -> None:
    """Look at a checkpoint as a witness, and print it with your cosignature.

    FILE is a proof that the ledger still has all that you have cosigned before: ask for proof
    --consistency with your KEY.signed. The first time it is a signed checkpoint. The key must be
    one of key new --witness. Another history than the one that you have cosigned is refused, with
    exit code 3, and what is not proved with 5: nothing is cosigned then.
    """
    if not vkeys:
        raise click.UsageError("Name the key that the ledger signs with: --vkey VKEY.")
    with about(file):
        note = cosign_with(key_file, file.data, vkeys, at=utc_now(), origin=origin)
    head = TreeHead.unverified(note)
    noun = "entry" if head.entries == 1 else "entries"
    say(f"cosigned: {head.entries:,} {noun} of {visible(head.origin)}", err=True)
    click.echo(note, nl=False)


def _made_witness(file: str, name: str) -> CosigningKey:
    made = make_witness(file, name)
    say(f"{file} cosigns as {made.name}; {file}{SIGNED} has what it cosigned last.", err=True)
    return made


def _own_origin(target: Target) -> str:
    book = target.open_if_there()
    if book is not None:
        with book:
            return f"cursor-ledger/{book.identify()}"
    raise click.UsageError(
        "Name the ledger for others: --origin example.com/orders. It does not exist yet, so it has "
        "not got an id to be named by."
    )
