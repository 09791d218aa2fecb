"""How the row of an event is given to SQLite: with the columns that the event has, and no others.

The driver takes an int, a str and a bytearray as they are. For anything else, None and bytes among
it, it first looks for an adapter, and raises an AttributeError that nobody sees: 3,300 instructions
a value, of the 234,000 of an advance that had five of them. Columns that are NULL are therefore
left out of the statement, and digests are given as bytearrays.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from types import NoneType
from typing import NamedTuple

from ledger.log.columns import CONTENT, EVENT
from ledger.log.rows import COLUMNS_OF_TAG, Content, Row
from ledger.stores.sqlite import statements
from ledger.stores.tables import TAG_IDS

__all__ = ["Form", "form_of"]


class Form(NamedTuple):
    """How events that have the same columns are inserted.

    The values of a statement are the id of the cursor, what is `said`, and the digest; behind a
    position, where there is a place for it.
    """

    insert: str
    insert_placed: str
    said: Callable[[Content], Row]
    """Takes what an event says of its columns out of the content of its entry."""


def form_of(content: Content) -> Form:
    """Return the form of the entry that says `content`."""
    return _FORMS[content[_TAG], content[_METADATA] is None]


def _form(tag: str, *, without: frozenset[str]) -> Form:
    missing = without.union(c.name for c in COLUMNS_OF_TAG[tag] if c.type is NoneType)
    names = tuple(name for name in EVENT.names if name in CONTENT.names and name not in missing)
    return Form(
        statements.insert_event(names, TAG_IDS[tag]),
        statements.insert_event(names, TAG_IDS[tag], placed=True),
        itemgetter(*map(CONTENT.place, names)),
    )


_TAG, _METADATA = CONTENT.place("tag"), CONTENT.place("metadata")

_FORMS = {
    (tag, without): _form(tag, without=frozenset({"metadata"} if without else ()))
    for tag in TAG_IDS
    for without in (True, False)
}
