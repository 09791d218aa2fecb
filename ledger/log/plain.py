"""Values as plain JSON values: the half of `ledger.log.json` that writes, without what reads.

Each command that shows something needs this half, and cattrs takes longer to import than most
commands run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

from ledger.law.cursor import Cursor, CursorKey
from ledger.log.text import show_time

if TYPE_CHECKING:
    from ledger.law.events import Entry
    from ledger.law.requests import Request

__all__ = ["unstructure"]


def unstructure(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Return a cursor, request, entry or event as plain JSON values.

    A request becomes `{"op": "advance", "advance": {…}}`; times are RFC 3339, digests hexadecimal.
    """
    return _WAYS[type(value)](value)


class _Ways(dict[type, Callable[[Any], Any]]):
    """How values of each type are written; each type is looked at once."""

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        way = self[kind] = _way_of(kind)
        return way


_WAYS = _Ways()
# What fields are annotated with whose values are plain JSON values already.
_PLAIN = frozenset(("str", "int", "bool", "float", "int | None", "str | None"))


def _way_of(kind: type) -> Callable[[Any], Any]:  # noqa: PLR0911 - one for each kind of value
    if issubclass(kind, Cursor | CursorKey):
        return _object(kind)
    if attrs.has(kind):
        return _other_object(kind)
    if issubclass(kind, datetime):
        return show_time
    if issubclass(kind, bytes):
        return bytes.hex
    if issubclass(kind, Enum):
        return lambda member: member.value
    if issubclass(kind, Mapping):
        return lambda pairs: {name: unstructure(each) for name, each in pairs.items()}
    if issubclass(kind, list | tuple):
        return lambda values: [unstructure(each) for each in values]
    return lambda value: value


def _other_object(kind: type) -> Callable[[Any], dict[str, Any]]:
    # Imported here, because to show a cursor needs no entry, and no request.
    from ledger.law.events import Entry
    from ledger.log.ops import OPS

    if issubclass(kind, Entry):
        return _entry(_object(kind))
    for op, request in OPS.items():
        if issubclass(kind, request):
            return _request(op, _object(kind))
    return _object(kind)


def _object(kind: type) -> Callable[[Any], dict[str, Any]]:
    # Written out, as cattrs does it: a log of a million entries has 20 million fields.
    pairs = (
        f"{field.name!r}: v.{field.name}"
        if field.type in _PLAIN
        else f"{field.name!r}: ways[type(v.{field.name})](v.{field.name})"
        for field in attrs.fields(kind)
        if field.init
    )
    scope: dict[str, Any] = {"ways": _WAYS}
    exec(f"def plain(v): return {{{', '.join(pairs)}}}", scope)  # noqa: S102 - names of fields only
    plain: Callable[[Any], dict[str, Any]] = scope["plain"]
    return plain


def _entry(plain: Callable[[Entry], dict[str, Any]]) -> Callable[[Entry], dict[str, Any]]:
    from ledger.log.rows import TAGS

    def tagged(entry: Entry) -> dict[str, Any]:
        written = plain(entry)
        written["event"] = {"tag": TAGS[type(entry.event)], **written["event"]}
        return written

    return tagged


def _request(op: str, plain: Callable[[Request], object]) -> Callable[[Request], dict[str, Any]]:
    return lambda request: {"op": op, op: plain(request)}
