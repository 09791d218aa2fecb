"""How a command is told which cursor is meant, and how a shell completes its names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.parameters import beginning
from ledger.cli.typed.target import path_of
from ledger.errors import InvalidCursorError
from ledger.law.cursor import CursorKey

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["cursor_arguments", "key", "known", "known_actors", "known_rules"]


def cursor_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments CONSUMER STREAM [SUBJECT]; `key` makes one of them."""
    subject = click.argument("subject", default="", shell_complete=known("subject_id"))
    stream = click.argument(
        "stream", required=False, metavar="STREAM", shell_complete=known("stream_name")
    )
    consumer = click.argument("consumer", shell_complete=known("consumer_id"))
    return consumer(stream(subject(command)))


def known(part: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Complete a part of a key from the cursors that there are."""

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        # Only a shell asks for it.
        from click.shell_completion import CompletionItem

        from ledger.cli.typed.completion import cursors, names
        from ledger.law.queries import CursorQuery

        given = context.params
        path = path_of(context)
        query = CursorQuery(
            consumer_id=_given(given, "consumer") if part != "consumer_id" else "",
            stream_name=_given(given, "stream") if part == "subject_id" else "",
            reserved=True,
        )
        found = names(path, part, query, incomplete)
        if part == "consumer_id" and isinstance(parameter, click.Argument) and "/" in incomplete:
            found += cursors(path, incomplete)
        return [CompletionItem(name) for name in found]

    return complete


def known_rules(
    consumer: str, part: str
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Complete the name of a rule: a part of the keys of a consumer of the ledger's own."""

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del parameter
        from ledger.cli.typed.completion import names
        from ledger.law.queries import CursorQuery

        query = CursorQuery(consumer_id=consumer, reserved=True)
        found = names(path_of(context), part, query, incomplete)
        return beginning([name for name in found if name], incomplete)

    return complete


def known_actors(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete an actor from those who acted last."""
    del parameter
    from click.shell_completion import CompletionItem

    from ledger.cli.typed.completion import actors

    return [CompletionItem(name) for name in actors(path_of(context), incomplete)]


def _given(parameters: dict[str, Any], name: str) -> str:
    """Return a part of a key as it was typed so far, as an argument or as an option.

    Of an option that was repeated, none: it does not say which of them goes with the word.
    """
    given = parameters.get(f"named_{name}") or parameters.get(name) or ""
    if isinstance(given, tuple):
        return str(given[0]) if len(given) == 1 else ""
    return str(given)


def key(consumer: str, stream: str | None, subject: str = "") -> CursorKey:
    """Return the key that the arguments name: in two or three words, or in one, as it is printed.

    In several words, each is a name as it stands, slashes included.
    """
    if stream is not None:
        return CursorKey(consumer, stream, subject)
    if "/" not in consumer:
        raise click.UsageError(
            f"The stream is missing: name the cursor as {consumer:.80} STREAM [SUBJECT], or in one "
            f"word as it is printed, {consumer:.80}/STREAM[/SUBJECT]."
        )
    try:
        return CursorKey.parse(consumer)
    except InvalidCursorError as error:
        # What is wrong with one of the names was typed in the one word.
        raise click.UsageError(f"{consumer!r:.80} names no cursor: {_fact(error)}") from None


def _fact(error: InvalidCursorError) -> str:
    if error.field == "cursor":
        return (
            "in one word it is CONSUMER/STREAM or CONSUMER/STREAM/SUBJECT. Write %2F for a slash "
            "in a name, or type the names as separate words."
        )
    # The three names were typed in one word, and not as the fields are called.
    field = error.field or ""
    return f"the {_NAMES.get(field, field)}{str(error).removeprefix(field)}"


_NAMES = {"consumer_id": "consumer", "stream_name": "stream", "subject_id": "subject"}
