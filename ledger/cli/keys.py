"""How a command is told which cursor is meant, and how a shell completes its names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from ledger.cli.target import path_of
from ledger.law.cursor import CursorKey
from ledger.law.queries import CursorQuery

__all__ = ["cursor_arguments", "key", "known"]


def cursor_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments CONSUMER STREAM [SUBJECT]."""
    subject = click.argument("subject", default="", shell_complete=known("subject_id"))
    stream = click.argument("stream", shell_complete=known("stream_name"))
    consumer = click.argument("consumer", shell_complete=known("consumer_id"))
    return consumer(stream(subject(command)))


def known(part: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Complete a part of a key from the cursors that there are."""

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del parameter
        # Only a shell asks for it.
        from ledger.cli.completion import names

        given = context.params
        path = path_of(context)
        query = CursorQuery(
            consumer_id=_given(given, "consumer") if part != "consumer_id" else "",
            stream_name=_given(given, "stream") if part == "subject_id" else "",
            reserved=True,
        )
        return [CompletionItem(name) for name in names(path, part, query, incomplete)]

    return complete


def _given(parameters: dict[str, Any], name: str) -> str:
    """Return a part of a key as it was typed so far, as an argument or as an option.

    Of an option that was repeated, none: it does not say which of them goes with the word.
    """
    given = parameters.get(f"named_{name}") or parameters.get(name) or ""
    if isinstance(given, tuple):
        return str(given[0]) if len(given) == 1 else ""
    return str(given)


def key(consumer: str, stream: str, subject: str) -> CursorKey:
    """Return the key that the arguments name."""
    return CursorKey(consumer, stream, subject)
