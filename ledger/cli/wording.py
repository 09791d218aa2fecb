"""Refusals in the words that were typed: options for fields, and commands for methods.

The words are made of the facts that a refusal carries, never of its message.
"""

from __future__ import annotations

from collections.abc import Iterator

import click
from click.core import ParameterSource

from ledger.cli.process.hosts import command_name
from ledger.errors import BrokenChainError, InvalidCursorError, LedgerError, SchemaVersionError
from ledger.law.refusals import ActorRequiredError
from ledger.law.requests import ResetCursor, StartCursor

__all__ = ["as_typed"]

# What a field is called in Python and in JSON, and which parameters of commands it may come from.
_FIELDS = {
    "consumer_id": ("consumer", "named_consumer"),
    # What a hold is called is the stream of its cursor.
    "stream_name": ("stream", "named_stream", "name"),
    "subject_id": ("subject", "named_subject"),
    "last_sequence": ("to", "at"),
    "name": ("name",),
    "to": ("to",),
    "by": ("by",),
    "sequence": ("sequence", "rest"),
    "position": ("to", "at", "rest", "covering"),
    "lsn": ("to", "at", "rest", "covering"),
    "confirmed_offset": ("to", "at", "rest", "covering"),
    "next_offset": ("to", "at", "rest", "covering"),
    "after": ("after",),
    "mapping": ("mapping",),
    "moment": ("moment", "to_entry", "earlier", "later"),
    "delivery_id": ("delivery_id",),
    "last_delivery_id": ("delivery_id",),
    "delivered_at": ("delivered_at",),
    "last_delivered_at": ("delivered_at",),
    "now": ("now",),
    "last_error": ("message",),
    "reason": ("reason",),
    "source": ("source",),
    "actor": ("actor",),
    "epoch": ("epoch",),
    "expected_version": ("expect_version",),
    "metadata": ("metadata",),
    "version": ("expect_version",),
    "limit": ("limit", "lines"),
    "least": ("least",),
    "errors": ("errors",),
    "recorded_from": ("since",),
    "recorded_until": ("until",),
    "position_from": ("from_position",),
    "position_until": ("to_position",),
    "covering": ("covering",),
    "group": ("group",),
    "busy_timeout_s": ("busy_timeout",),
}


def as_typed(error: LedgerError, context: click.Context) -> str:
    """Return what `error` says to somebody who typed the command of `context`."""
    match error:
        case InvalidCursorError(field=str(field), subject=str(subject), problem=str(problem)):
            word = _word(field, error.value, context)
            return f"{subject.replace(field, word)} {problem}"
        case BrokenChainError(place=str(place), fault=str(fault)):
            return f"{place}: {fault}. Run {command_name()} verify to see every fault."
        case SchemaVersionError(place=str(place)):
            return f"{place} has no ledger in it. The first advance makes one."
        case ActorRequiredError(request=ResetCursor(key=key)):
            return f"A reset of {key} needs an actor: name one with --actor."
        case ActorRequiredError(request=StartCursor(key=key)):
            return f"A start of {key} needs an actor: name one with --actor."
        case _:
            return str(error)


def _word(field: str, value: object, context: click.Context) -> str:
    """Return the option or argument that `value` was typed as, or else the field itself."""
    found = list(_parameters(field, context))
    typed = [(parameter, given) for parameter, given, is_typed in found if is_typed]
    for parameter, given in typed:
        if given == value:
            return _named(parameter)
    if typed or found:
        return _named((typed or found)[0][0])
    return field


def _parameters(
    field: str, context: click.Context | None
) -> Iterator[tuple[click.Parameter, object, bool]]:
    """Yield the parameters that `field` may come from, those of the inner command first.

    Each with its value, and whether it was typed.
    """
    while context is not None:
        for parameter in context.command.params:
            name = parameter.name or ""
            if name in _FIELDS.get(field, ()):
                source = context.get_parameter_source(name)
                yield parameter, context.params.get(name), source is ParameterSource.COMMANDLINE
        context = context.parent


def _named(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return (parameter.metavar or parameter.human_readable_name).split()[-1].strip("[]")
    return max(parameter.opts, key=len)
