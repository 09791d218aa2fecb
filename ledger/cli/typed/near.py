"""What a mistyped filter may have meant: names of consumers, streams and subjects that are near it.

A filter that no cursor matches is not an error, because a script may ask before the first delivery.
Nothing is looked for unless a command has found nothing, and what is looked at is bounded.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any

import click

from ledger.cli.typed.target import Target, innermost
from ledger.errors import InvalidCursorError, LedgerError
from ledger.law.cursor import CursorKey
from ledger.law.events import CursorReset
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.log.text import visible
from ledger.service import Ledger

__all__ = ["because_of_filters", "choice_near", "filters_near", "near_names"]

NEAR = 0.6
SHOWN_MAX = 3
LOOKED_AT_MAX = 20_000
LOOKED_AT_S = 0.5

_NO_ESCAPE = re.compile("%(?!2F|25).{0,2}", re.IGNORECASE)
_PARTS = {"consumer": "consumer_id", "stream": "stream_name", "subject": "subject_id"}
_ACTOR = "by"


def filters_near(context: click.Context) -> Iterator[str]:
    """Yield a sentence for each filter that no cursor matches, with the names that are near."""
    target, typed = context.obj, list(_typed(innermost(context)))
    if not typed or not isinstance(target, Target):
        return
    try:
        book = target.open_if_there()
        if book is None:
            return
        with book:
            for name, value in typed:
                yield from _near(book, name, value)
            yield from _no_escapes(innermost(context))
    except LedgerError:
        return  # What the command itself has said stands without it.


def because_of_filters(context: click.Context) -> str:
    """Return the same as the end of a refusal, which says that nothing matches."""
    return "".join(f" {sentence}" for sentence in filters_near(context))


def _typed(context: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the filters of the command that was run, and what was typed for each."""
    for parameter in context.command.params:
        for name in (*_PARTS, _ACTOR):
            # --by of a reset is a number.
            if name == _ACTOR and parameter.name != "actor":
                continue
            if not {name, f"--{name}"} & {*parameter.opts}:
                continue
            given: Any = context.params.get(parameter.name or "")
            for value in given if isinstance(given, tuple) else (given,):
                if value and value.strip():
                    is_word = isinstance(parameter, click.Argument) and name == "consumer"
                    is_word = is_word and context.params.get("stream") is None
                    yield from _parts(value.strip()) if is_word else [(name, value.strip())]


def _parts(word: str) -> Iterator[tuple[str, str]]:
    """Yield the names in a word that names a cursor, or may be a consumer alone."""
    if "/" not in word:
        yield "consumer", word
        return
    try:
        key = CursorKey.parse(word)
    except InvalidCursorError:
        return  # The refusal says what is wrong with the word.
    yield from ((name, getattr(key, part)) for name, part in _PARTS.items() if getattr(key, part))


def _no_escapes(context: click.Context) -> Iterator[str]:
    """Yield what in a cursor in one word looks like an escape and is none."""
    word = context.params.get("consumer")
    if isinstance(word, str) and "/" in word and context.params.get("stream") is None:
        for found in islice(_NO_ESCAPE.finditer(word), 1):
            yield (
                f"{visible(found[0])!r} stands as it is: in one word, %2F is a slash in a name, "
                "%25 a percent sign, and nothing else is an escape."
            )


def _near(book: Ledger, name: str, value: str) -> Iterator[str]:
    if name == _ACTOR:
        yield from _near_actor(book, value)
        return
    part = _PARTS[name]
    there = CursorQuery(**{part: value}, reserved=True, limit=1)
    if any(True for _ in book.cursors(there)):
        return
    said = f"No cursor has the {name} {visible(value)!r:.80}."
    known = list(dict.fromkeys(_names(book, part)))
    names = near_names(value, known) or _with(value, known)
    yield said + (f" Did you mean {' or '.join(names)}?" if names else "")


def _near_actor(book: Ledger, value: str) -> Iterator[str]:
    names = list(dict.fromkeys(_actors(book)))
    if value in names:
        return
    # An actor may be user@host, and people remember one of the two.
    near = _with(value, names) or near_names(value, names)
    # No more is known, because there is no index of actors.
    yield f"None of the last actors is {visible(value)!r:.80}." + (
        f" Did you mean {' or '.join(near)}?" if near else ""
    )


def _with(typed: str, names: Iterable[str]) -> list[str]:
    """Return names that have what was typed in them, as they are typed in a shell."""
    parts = (each for each in names if typed.casefold() in each.casefold())
    harmless = (shlex.quote(each) for each in parts if visible(each) == each)
    return list(islice(harmless, SHOWN_MAX))


def _actors(book: Ledger) -> Iterator[str]:
    until = time.monotonic() + LOOKED_AT_S
    resets = EntryQuery(kinds=[CursorReset], newest_first=True, limit=LOOKED_AT_MAX)
    # Resets first: they are what actors are asked about, and they have an index of their own.
    for query in (resets, EntryQuery(newest_first=True, limit=LOOKED_AT_MAX)):
        for entry in book.entries(query):
            if entry.actor:
                yield entry.actor
            if time.monotonic() > until:
                return


def _names(book: Ledger, part: str) -> Iterator[str]:
    until = time.monotonic() + LOOKED_AT_S
    for cursor in book.cursors(CursorQuery(limit=LOOKED_AT_MAX)):
        yield getattr(cursor.key, part)
        if time.monotonic() > until:
            return


def near_names(typed: str, names: Iterable[str]) -> list[str]:
    """Return the names that are most like what was typed, as they are typed in a shell."""
    known = {name.casefold(): name for name in names if name and visible(name) == name}
    near = get_close_matches(typed.casefold(), known, n=SHOWN_MAX, cutoff=NEAR)
    return [shlex.quote(known[name]) for name in near]


def choice_near(error: click.UsageError) -> str:
    """Return a sentence with the values of a choice that are near what was typed, if any is."""
    kind = error.param.type if isinstance(error, click.BadParameter) and error.param else None
    if not isinstance(kind, click.Choice):
        return ""
    typed = error.format_message().partition("'")[2].partition("' is not one of")[0]
    typed = typed.rpartition("'")[2] or typed
    near = get_close_matches(typed, [str(each) for each in kind.choices], n=2, cutoff=NEAR)
    return f" Did you mean {' or '.join(near)}?" if near else ""
