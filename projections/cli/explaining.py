"""The command that tells what became of one sequence."""

from __future__ import annotations

from collections.abc import Callable

import click

from ledger import CursorKey, ErrorRecorded
from ledger.cli.forms import Form, fitting, form_options, show_one
from ledger.cli.keys import known
from ledger.cli.progress import Progress
from ledger.cli.sources import Names, Position, sequence_of
from ledger.cli.tables import colour
from ledger.cli.target import Target, pass_target
from ledger.log.text import visible
from ledger.positions.mapping import is_word
from projections.cli.choosing import watched
from projections.explanation import Explanation, Verdict, told
from projections.explanation import explain as tell

__all__ = ["explain"]


def _named(explanation: Explanation, key: CursorKey, names: Names) -> Callable[[int], str]:
    """Return what shows a sequence of the story; a token is known where one was confirmed."""
    events = (step.entry.event for step in explanation.steps)
    tokens = {
        event.sequence: event.delivery_id
        for event in events
        if not isinstance(event, ErrorRecorded)
    }
    return lambda sequence: names.with_it(key, sequence, tokens.get(sequence, ""))


@click.command()
@click.argument("consumer", shell_complete=known("consumer_id"))
@click.argument("stream", shell_complete=known("stream_name"))
@click.argument("rest", nargs=-1, metavar="[SUBJECT] SEQUENCE", shell_complete=known("subject_id"))
@form_options
@pass_target
def explain(
    target: Target, consumer: str, stream: str, rest: tuple[str, ...], form: Form | None
) -> None:
    """Tell whether one sequence was delivered at one cursor, and the whole story of it.

    Where the stream has other positions, SEQUENCE may be one: offset:43, lsn:0/16B3748, token:….

    The verdict comes first: delivered, how often, by which entry and which actor; or not delivered,
    and why; or not delivered yet, and which errors hold it up.
    """
    if not 1 <= len(rest) <= 2:
        raise click.UsageError("Name CONSUMER STREAM [SUBJECT] SEQUENCE.")
    *subject, last = rest
    try:
        typed = Position(last) if is_word(last) else int(last)
    except ValueError:
        raise click.UsageError(
            f"{last!r:.80} is not a sequence; the last argument must be one, or a position such as "
            "offset:43, next-offset:44, lsn:0/16B3748 or token:evt_9a."
        ) from None
    key = CursorKey(consumer, stream, *subject)
    progress = Progress()
    with target.open() as book:
        book.get(key)
        sequence, names = sequence_of(book, key, typed), Names(book)
        explanation = tell(watched(book.history(key), progress), sequence)
        progress.clear()
        if fitting(form) not in {Form.TABLE, Form.WIDE}:
            show_one(explanation, [], form, names=names)
            return
        verdict, *story = told(explanation, _named(explanation, key, names))
    colours = {Verdict.DELIVERED: "green", Verdict.NOT_YET: "yellow"}
    click.echo(
        f"{visible(str(key))} {colour(visible(verdict), colours.get(explanation.verdict, 'red'))}"
    )
    for sentence in story:
        click.echo(f"  {visible(sentence)}")
