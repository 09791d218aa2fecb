"""The command that tells what became of one sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click

from ledger import CursorKey, ErrorRecorded, Ledger
from ledger.cli.process.hosts import command_name
from ledger.cli.shown.forms import Form, fitting, form_options, show_one
from ledger.cli.shown.paging import paged
from ledger.cli.shown.sentences import say
from ledger.cli.shown.shapes import Shape
from ledger.cli.shown.tables import colour
from ledger.cli.typed.keys import key as key_of
from ledger.cli.typed.keys import known
from ledger.cli.typed.sources import Names, Position, sequence_of
from ledger.cli.typed.target import Target, pass_target
from ledger.log.text import show_time, visible
from ledger.positions.mapping import PositionMapping, is_word
from projections.cli.progressing import progress_over
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


def _beyond_the_head(book: Ledger, key: CursorKey, sequence: int, names: Names) -> Iterator[str]:
    """Yield a sentence if the stream does not go as far as `sequence`: nothing holds it up."""
    if names.mapping(key.consumer_id, key.stream_name) is PositionMapping.TOKENS:
        return  # Each cursor numbers them for itself.
    head = book.heads.find(key.stream_name, key.subject_id)
    if head is not None and head.last_sequence < sequence:
        place = "/".join(filter(None, (key.stream_name, key.subject_id)))
        yield (
            f"It is beyond the head: {place} goes up to {names.with_it(key, head.last_sequence)}, "
            f"recorded {show_time(head.updated_at.replace(microsecond=0))}."
        )


@click.command()
@click.argument("consumer", shell_complete=known("consumer_id"))
@click.argument("stream", required=False, metavar="STREAM", shell_complete=known("stream_name"))
@click.argument("rest", nargs=-1, metavar="[SUBJECT] SEQUENCE", shell_complete=known("subject_id"))
@form_options
@pass_target
def explain(
    target: Target, consumer: str, stream: str | None, rest: tuple[str, ...], form: Form | None
) -> None:
    """Tell whether one sequence was delivered at one cursor, and the whole story of it.

    Where the stream has other positions, SEQUENCE may be one: offset:43, lsn:0/16B3748, token:….

    The verdict comes first: delivered, how often, by which entry and which actor; or not delivered,
    and why; or not delivered yet, and which errors hold it up.
    """
    if stream is not None and not rest and "/" in consumer:
        # The cursor in one word, and the sequence.
        rest, stream = (stream,), None
    if not 1 <= len(rest) <= 2:
        raise click.UsageError(
            "Name CONSUMER STREAM [SUBJECT] SEQUENCE. Which consumers have passed one: "
            f"{command_name()} events STREAM --sequence SEQUENCE"
        )
    *subject, last = rest
    try:
        typed = Position(last) if is_word(last) else int(last)
    except ValueError:
        raise click.UsageError(
            f"{last!r:.80} is not a sequence; the last argument must be one, or a position such as "
            "offset:43, next-offset:44, lsn:0/16B3748 or token:evt_9a."
        ) from None
    key = key_of(consumer, stream, *subject)
    with target.open() as book:
        cursor = book.get(key)
        sequence, names = sequence_of(book, key, typed), Names(book)
        with progress_over(lambda: [cursor]) as progress:
            explanation = tell(progress.counted(book.history(key)), sequence)
        if fitting(form) not in {Form.TABLE, Form.WIDE}:
            show_one(explanation, [], form, names=names)
            return
        Shape.current().needs_records()
        beyond: list[str] = []
        if explanation.verdict is Verdict.NOT_YET:
            beyond = list(_beyond_the_head(book, key, sequence, names))
        shown = _named(explanation, key, names)
        verdict, *story = [*told(explanation, shown, is_beyond=bool(beyond)), *beyond]
    colours = {Verdict.DELIVERED: "green", Verdict.NOT_YET: "yellow"}
    shade = colours.get(explanation.verdict, "red")
    with paged():
        say(f"{visible(str(key))} {colour(visible(verdict), shade)}")
        for sentence in story:
            say(visible(sentence), indent=2, hanging=2)
