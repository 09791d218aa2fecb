"""The command that tells what became of one sequence."""

from __future__ import annotations

import click

from ledger import CursorKey
from ledger.cli.forms import Form, fitting, form_options, show_one
from ledger.cli.keys import known
from ledger.cli.progress import Progress
from ledger.cli.tables import colour
from ledger.cli.target import Target, pass_target
from ledger.log.text import visible
from projections.cli.choosing import watched
from projections.explanation import Verdict
from projections.explanation import explain as tell

__all__ = ["explain"]


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

    The verdict comes first: delivered, how often, by which entry and which actor; or not delivered,
    and why; or not delivered yet, and which errors hold it up.
    """
    if not 1 <= len(rest) <= 2:
        raise click.UsageError("Name CONSUMER STREAM [SUBJECT] SEQUENCE.")
    *subject, number = rest
    try:
        sequence = int(number)
    except ValueError:
        raise click.UsageError(
            f"{number!r:.80} is not a sequence; the last argument must be one."
        ) from None
    key = CursorKey(consumer, stream, *subject)
    progress = Progress()
    with target.open() as book:
        book.get(key)
        explanation = tell(watched(book.history(key), progress), sequence)
    progress.clear()
    if fitting(form) not in {Form.TABLE, Form.WIDE}:
        show_one(explanation, [], form)
        return
    verdict, *story = explanation.sentences()
    colours = {Verdict.DELIVERED: "green", Verdict.NOT_YET: "yellow"}
    click.echo(
        f"{visible(str(key))} {colour(visible(verdict), colours.get(explanation.verdict, 'red'))}"
    )
    for sentence in story:
        click.echo(f"  {visible(sentence)}")
