"""Refusals in the words that were typed: names of options, and commands in place of methods."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import click

__all__ = ["as_typed"]

# What a value is called in Python and in JSON, and which parameters of commands it may come from.
_FIELDS = {
    "consumer_id": ("consumer", "named_consumer"),
    "stream_name": ("stream", "named_stream"),
    "subject_id": ("subject", "named_subject"),
    "last_sequence": ("to",),
    "to": ("to",),
    "by": ("by",),
    "sequence": ("sequence", "rest"),
    "moment": ("moment", "to_entry", "earlier", "later"),
    "delivery_id": ("delivery_id",),
    "last_delivery_id": ("delivery_id",),
    "delivered_at": ("delivered_at",),
    "last_delivered_at": ("delivered_at",),
    "now": ("now",),
    "last_error": ("message",),
    "reason": ("reason",),
    "actor": ("actor",),
    "epoch": ("epoch",),
    "expected_version": ("expect_version",),
    "metadata": ("metadata",),
    "version": ("expect_version",),
    "limit": ("limit", "lines"),
    "least": ("least",),
    "recorded_from": ("since",),
    "recorded_until": ("until",),
    "position_from": ("from_position",),
    "position_until": ("to_position",),
    "covering": ("covering",),
    "after": ("after",),
    "busy_timeout_s": ("busy_timeout",),
}
# These are words of the language, too, so only the first word of a refusal is taken for them.
_UNMISTAKABLE = [name for name in _FIELDS if "_" in name]
_INSIDE = re.compile(rf"(?<![\w/'\"])({'|'.join(_UNMISTAKABLE)})(?![\w/'\"=])")

_ADVICE = (
    (re.compile(r"Open it once with ledger\.open\(…\)[^.]*"), "The first advance makes one"),
    (re.compile(r"\bRun verify\(\)"), "Run cursor-ledger verify"),
    (
        re.compile(r"pass actor=…, or give the ledger one when it is opened"),
        "name one with --actor",
    ),
)


def as_typed(message: str, commands: Iterable[click.Command], typed: Sequence[str]) -> str:
    """Return `message` about what was `typed` for `commands`, the inner one first."""
    words: dict[str, str] = {}
    for command in commands:
        for field, names in _FIELDS.items():
            found = [parameter for parameter in command.params if parameter.name in names]
            if found and field not in words:
                words[field] = _word(found, typed)
    first, space, rest = message.partition(" ")
    message = (
        words.get(first, first)
        + space
        + _INSIDE.sub(lambda found: words.get(found[0], found[0]), rest).replace(
            " in metadata ", f" in {words.get('metadata', 'metadata')} "
        )
    )
    for pattern, advice in _ADVICE:
        message = pattern.sub(advice, message)
    return message


def _word(parameters: Sequence[click.Parameter], typed: Sequence[str]) -> str:
    """Name one of `parameters`: an option that was typed, or else the first."""
    options = [option for option in parameters if isinstance(option, click.Option)]
    for option in options:
        if any(word.partition("=")[0] in option.opts for word in typed):
            return max(option.opts, key=len)
    arguments = [found for found in parameters if isinstance(found, click.Argument)]
    if arguments:
        return (arguments[0].metavar or arguments[0].human_readable_name).split()[-1].strip("[]")
    return max(options[0].opts, key=len)
