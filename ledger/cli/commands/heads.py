"""The command that records how far streams go, and shows it."""

from __future__ import annotations

from typing import Any

import click

from ledger.cli.shown.columns import OWNER
from ledger.cli.shown.forms import Form, form_options, show, show_one
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.sentences import say
from ledger.cli.shown.tables import Column
from ledger.cli.typed.keys import known
from ledger.cli.typed.options import (
    actor_option,
    metadata_option,
    now_option,
    own_limit_option,
    sort_option,
)
from ledger.cli.typed.sources import POSITION, Names, Position, sequence_of
from ledger.cli.typed.target import Target, pass_target
from ledger.law import paths
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.queries import CursorQuery
from ledger.law.reserved import HEAD
from ledger.log.text import visible
from ledger.service import Ledger

__all__ = ["heads"]

_HEADS = [
    *OWNER[1:],
    Column(
        "head",
        lambda head: str(head.last_sequence),
        lambda head: (head.key, head.last_sequence, head.last_delivery_id),
        kind=Kind.NUMBER,
        field="last_sequence",
    ),
    Column("version", lambda head: str(head.version), kind=Kind.NUMBER, spared=1),
    Column("epoch", lambda head: str(head.epoch), kind=Kind.NUMBER, spared=1),
    Column("updated", lambda head: head.updated_at, kind=Kind.TIME, field="updated_at"),
    Column("last error", lambda head: visible(head.last_error)),
]


@click.command()
@click.argument("stream", default="", shell_complete=known("stream_name"))
@click.argument("subject", default="", shell_complete=known("subject_id"))
@click.option(
    "--stream",
    "of_stream",
    default="",
    shell_complete=known("stream_name"),
    help="Only heads of this stream.",
)
@click.option(
    "--subject",
    "of_subject",
    default="",
    shell_complete=known("subject_id"),
    help="Only heads of this subject.",
)
@click.option(
    "--to",
    type=POSITION,
    metavar="SEQUENCE",
    help="Record that the stream goes up to this sequence; or to this position, if the stream has "
    "them: next-offset:44. A smaller one than before does nothing.",
)
@now_option
@actor_option
@metadata_option
@sort_option
@own_limit_option
@form_options
@pass_target
def heads(
    target: Target,
    /,
    stream: str,
    subject: str,
    of_stream: str,
    of_subject: str,
    to: int | Position | None,
    actor: str | None,
    form: Form | None,
    **given: Any,
) -> None:
    """Show how far streams go; with --to, record it.

    The head of a stream is the highest sequence that exists on it, and that of a SUBJECT the
    highest one in it. What `lag` says goes by them. Both may be typed as one word, STREAM/SUBJECT,
    where cursors have that subject and none has a stream of that name. A head goes back only by a
    reset of its cursor: reset cursor-ledger/head STREAM [SUBJECT].
    """
    if (stream and of_stream) or (subject and of_subject):
        raise click.UsageError("Name the stream and the subject, or choose by options; not both.")
    stream, subject = stream or of_stream, subject or of_subject
    if to is None:
        if actor is not None or given["now"] is not None or given["metadata"]:
            raise click.UsageError("--now, --actor and --meta are for recording a head, with --to.")
        with target.open() as book:
            if stream:
                stream, subject = _names(book, stream, subject)
            all_heads = book.heads.all(stream, subject)
            show(all_heads, _HEADS, form, of=[Cursor], names=Names(book))
        return
    if not stream:
        raise click.UsageError("Name the stream that goes so far: heads STREAM [SUBJECT] --to N.")
    with target.open(actor=actor, make=True) as book:
        stream, subject = _names(book, stream, subject)
        sequence = sequence_of(book, CursorKey(HEAD, stream, subject), to)
        head = book.heads.record(stream, subject, sequence, **given)
        show_one(head, _HEADS, form, names=Names(book))
    if head.last_sequence > sequence:
        say(f"it was at {head.last_sequence} already; nothing was recorded", err=True)


def _names(book: Ledger, stream: str, subject: str) -> tuple[str, str]:
    """Return the stream and the subject, which may have been typed as one word.

    The word is the name of the head's cursor as it is printed, or STREAM/SUBJECT. The name of a
    stream may have slashes, too, and goes before.
    """
    if subject or "/" not in stream:
        return stream, subject
    first, *names = paths.split(stream)
    if first == HEAD:
        key = CursorKey.parse(stream)
        return key.stream_name, key.subject_id
    if (
        len(names) != 1
        or _is_there(book, stream)
        or not (names[0] and _is_there(book, first, names[0]))
    ):
        return stream, subject
    return first, names[0]


def _is_there(book: Ledger, stream: str, subject: str = "") -> bool:
    if not stream.strip():
        return False
    query = CursorQuery(stream_name=stream, subject_id=subject, reserved=True, limit=1)
    return any(book.cursors(query))
