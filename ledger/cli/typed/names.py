"""What a mistyped name may have meant: a similar name, or its words in another order."""

from __future__ import annotations

import heapq
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from difflib import SequenceMatcher
from itertools import permutations
from typing import TYPE_CHECKING

import click

from ledger import errors
from ledger.law import paths
from ledger.law.cursor import CursorKey
from ledger.law.queries import CursorQuery
from ledger.law.refusals import CursorNotFoundError
from ledger.log.text import visible

if TYPE_CHECKING:
    from ledger.service import Ledger

__all__ = ["NewCursorError", "new_option", "refuse_rearranged", "suggestion", "words"]

NEAR = 0.7  # At difflib's own 0.6, mailer/invoices would be near mailer/orders/eu.
BEGINS = 0.9
"""How near a name is of which only the beginning was typed, such as billing of billing-eu."""
SHOWN_MAX = 3
# A ledger may have millions of cursors with long names, so the search is bounded: in cursors for
# each part that may be right, in characters of a name, and in time.
LOOKED_AT_MAX = 1_000
CHARACTERS_MAX = 200
LOOKED_AT_S = 0.5

new_option = click.option(
    "--new", is_flag=True, help="Make the cursor, even if its name is like that of another."
)


class NewCursorError(CursorNotFoundError):
    """The command would make a cursor, and most likely none was meant to be made."""

    def __init__(self, key: CursorKey | str) -> None:
        super().__init__(key)
        if not isinstance(key, str):
            self.args = (f"{self} To make it, add --new.",)


def words(key: CursorKey) -> str:
    """Return the words that name a cursor on the command line, quoted for the shell."""
    parts = (key.consumer_id, key.stream_name, key.subject_id)
    return " ".join(shlex.quote(part) for part in parts if part)


def refuse_rearranged(book: Ledger, key: CursorKey) -> None:
    """Refuse to make the cursor `key` if its words in another order name a cursor that exists.

    Raises NewCursorError.
    """
    if not _is_there(book, key) and any(_rearranged(book, key)):
        raise NewCursorError(key)


def suggestion(
    open_ledger: Callable[[], AbstractContextManager[Ledger]], key: CursorKey | None
) -> str:
    """Return a sentence with the cursors that may have been meant, or nothing if there are none."""
    if key is None:
        return ""
    try:
        with open_ledger() as book:
            found = list(_rearranged(book, key)) or _near(book, key)
    except errors.LedgerError:
        return ""  # The refusal that this is added to stands without it.
    # A name that a terminal does not show as it is cannot be typed from the terminal.
    named = [said for said in map(words, found) if visible(said) == said]
    return f" Did you mean {' or '.join(named)}?" if named else ""


def _rearranged(book: Ledger, key: CursorKey) -> Iterator[CursorKey]:
    """Yield the cursors whose names have the same words in another order, or two of them as one."""
    parts = [part for part in (key.consumer_id, key.stream_name, key.subject_id) if part]
    orders = list(permutations(parts))
    if len(parts) == 3:
        # A name with a space in it that was not quoted.
        first, second, third = parts
        orders += [(f"{first} {second}", third), (first, f"{second} {third}")]
    if any("/" in part for part in parts):
        # The name in one word, and others typed behind it; or two names in one word.
        orders.append(tuple(paths.split("/".join(parts))))
    for order in orders[1:]:
        if not 2 <= len(order) <= 3:
            continue
        try:
            other = CursorKey(*order)
        except errors.InvalidCursorError:
            continue  # Two words may be too long for one.
        if _is_there(book, other):
            yield other


def _near(book: Ledger, key: CursorKey) -> list[CursorKey]:
    """Return the cursors whose names are most like that of `key`, the likest first."""
    until = time.monotonic() + LOOKED_AT_S
    matchers = [SequenceMatcher(None, "", said, autojunk=False) for said in _compared(key)]
    near: dict[CursorKey, float] = {}
    for query in (
        CursorQuery(stream_name=key.stream_name, limit=LOOKED_AT_MAX),
        CursorQuery(consumer_id=key.consumer_id, limit=LOOKED_AT_MAX),
        CursorQuery(limit=LOOKED_AT_MAX),
    ):
        for cursor in book.cursors(query):
            if time.monotonic() > until:
                break
            alike = max(map(_ratio, matchers, _compared(cursor.key)))
            if _begins(key, cursor.key):
                alike = max(alike, BEGINS)
            if alike >= NEAR:
                near[cursor.key] = alike
    return heapq.nlargest(SHOWN_MAX, near, key=near.__getitem__)


def _begins(typed: CursorKey, key: CursorKey) -> bool:
    """Return whether each word is how the name begins, or how a table has shortened it."""
    pairs = zip(_parts(typed), _parts(key), strict=True)
    return all(_fits(word.casefold(), name.casefold()) for word, name in pairs)


def _fits(word: str, name: str) -> bool:
    begin, cut, end = word.replace("...", "…").partition("…")
    if not cut:
        return name.startswith(begin)  # People leave off the rest.
    return len(begin) + len(end) < len(name) and name.startswith(begin) and name.endswith(end)


def _parts(key: CursorKey) -> tuple[str, str, str]:
    return key.consumer_id, key.stream_name, key.subject_id


def _compared(key: CursorKey) -> tuple[str, str]:
    """Return a name as it is compared: in its own order, and in one that all orders have."""
    parts = [part for part in (key.consumer_id, key.stream_name, key.subject_id) if part]
    orders = ("/".join(parts), "/".join(sorted(parts)))
    first, second = (said.casefold()[:CHARACTERS_MAX] for said in orders)
    return first, second


def _ratio(matcher: SequenceMatcher[str], said: str) -> float:
    """Return how much `said` is like what the matcher has, from 0 to 1; 0 if it is not near."""
    matcher.set_seq1(said)
    # Each is an upper bound of the next, and cheaper.
    bounds = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    return matcher.ratio() if all(bound() >= NEAR for bound in bounds) else 0.0


def _is_there(book: Ledger, key: CursorKey) -> bool:
    try:
        book.get(key)
    except CursorNotFoundError:
        return False
    return True
