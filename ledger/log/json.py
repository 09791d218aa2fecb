"""Cursors, requests and entries as plain JSON values, in the names that the JSON of requests has.

What is read is distrusted: nothing is coerced, and nothing unknown is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, overload

import attrs

from ledger.errors import InvalidCursorError
from ledger.law import fields
from ledger.law.cursor import Cursor, CursorKey, Outcome
from ledger.law.events import Entry, Event
from ledger.law.queries import CursorQuery
from ledger.law.requests import AdvanceCursor, RecordError, Request, ResetCursor
from ledger.log.rows import TAGS
from ledger.log.text import parse_time, show_time

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["structure", "unstructure"]

T = TypeVar("T")


def unstructure(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Give a cursor, request, entry or event as plain JSON values.

    A request becomes `{"op": "advance", "advance": {…}}`; times are RFC 3339, digests hexadecimal.
    """
    return _converter().unstructure(value)


@overload
def structure(data: object, kind: type[T]) -> T: ...
@overload
def structure(data: object, kind: UnionType) -> Any: ...  # noqa: ANN401 - one of the union
def structure(data: object, kind: Any) -> Any:
    """Give the value of type `kind` that plain JSON values describe; nothing is coerced.

    `kind` is a request type, `Request` for any of them, `Cursor`, `CursorKey`, `CursorQuery` or
    `Entry`. A missing optional field has its empty value.

    Raises InvalidCursorError, which names the field, and ResetReasonRequiredError.
    """
    from cattrs.errors import ForbiddenExtraKeysError

    try:
        return _converter().structure(data, kind)
    except KeyError as error:
        raise InvalidCursorError(f"{error.args[0]} is missing.") from None
    except ForbiddenExtraKeysError as error:
        known = ", ".join(field.name for field in attrs.fields(error.cl))
        extra = ", ".join(sorted(map(repr, error.extra_fields)))
        raise InvalidCursorError(
            f"{extra:.200} is not known here; {error.cl.__name__} has {known}."
        ) from None


_OPS: Mapping[str, type[Request]] = {
    "advance": AdvanceCursor,
    "reset": ResetCursor,
    "error": RecordError,
}

# What a Go program writes for a time that was never set.
_GO_ZERO_TIME = "0001-01-01T00:00:00Z"


@cache
def _converter() -> Converter:
    # Imported here, for it takes as long as all the rest, and a library caller may never need it.
    from cattrs import Converter, override
    from cattrs.gen import make_dict_structure_fn

    converter = Converter(forbid_extra_keys=True, detailed_validation=False)
    converter.register_unstructure_hook(datetime, show_time)
    converter.register_unstructure_hook(bytes, bytes.hex)
    converter.register_unstructure_hook(Event, _tagged(converter))
    converter.register_structure_hook(Event, _untagged(converter))
    converter.register_structure_hook(Request, _unwrapped(converter))
    for kind in (CursorKey, Cursor, CursorQuery, Entry, *TAGS, *_OPS.values()):
        # Each field is told its name, so that a refusal can say which one it was.
        hooks: dict[str, Any] = {
            field.name: override(struct_hook=_reader(converter, field.name, field.type, kind))
            for field in attrs.fields(attrs.resolve_types(kind))
        }
        read = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True, **hooks)
        converter.register_structure_hook(kind, _object(kind, read))
    wrap = converter.get_unstructure_hook
    for op, kind in _OPS.items():
        converter.register_unstructure_hook(kind, _wrapped(op, wrap(kind)))
    return converter


def _reader(converter: Converter, name: str, kind: Any, of: type) -> Callable[[Any, Any], Any]:  # noqa: ANN401, C901, PLR0911 - a table
    """Give the function that reads the field `name` of type `kind`, and coerces nothing.

    What `of` is says whether it was in a log, or is asked for anew.
    """

    def optional(read: Callable[[Any, str], object]) -> Callable[[Any, Any], object]:
        return lambda value, _: None if value is None else read(value, name)

    if kind is str:
        return lambda value, _: _text(value, name)
    if kind is int:
        return lambda value, _: fields.sequence(value, name, least=-fields.SEQUENCE_MAX - 1)
    if kind == int | None:
        return optional(fields.counter)
    if kind is datetime:
        return lambda value, _: _time(value, name)
    if kind == datetime | None:
        return optional(lambda value, name: None if value == _GO_ZERO_TIME else _time(value, name))
    if kind is bytes:
        return lambda value, _: _digest(value, name)
    if kind is Outcome:
        return lambda value, _: Outcome.of(value)
    if kind == Mapping[str, str]:
        return lambda value, _: fields.kept_metadata(value)
    if kind is CursorKey and of in (Cursor, Entry):
        return lambda value, _: _kept_key(value)
    return lambda value, _: converter.structure(value, kind)


def _text(value: object, name: str) -> str:
    # An error message may have anything in it: the request mends it. The rest refuses.
    if name == "last_error" and isinstance(value, str):
        return value
    return fields.storable(value, name)


def _time(value: object, name: str) -> datetime:
    return parse_time(fields.storable(value, name), name)


def _digest(value: object, name: str) -> bytes:
    digest = fields.storable(value, name)
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise InvalidCursorError(f"{name} must be 64 hexadecimal digits, not {digest!r:.80}.")
    return bytes.fromhex(digest)


def _kept_key(value: object) -> CursorKey:
    if not isinstance(value, Mapping):
        raise InvalidCursorError(f"CursorKey must be an object, not {fields.kind(value)}.")
    given = {"subject_id": "", **value}
    if extra := given.keys() - {"consumer_id", "stream_name", "subject_id"}:
        raise InvalidCursorError(f"{', '.join(map(repr, extra))!s:.200} is not known here.")
    return CursorKey.kept(given["consumer_id"], given["stream_name"], given["subject_id"])


def _object(kind: type, read: Callable[[Any, Any], T]) -> Callable[[Any, Any], T]:
    # In the reference's JSON a cursor leaves out what is empty.
    absent = {"last_delivery_id": "", "last_delivered_at": None, "last_error": ""}

    def structured(value: object, _: object) -> T:
        if not isinstance(value, Mapping):
            raise InvalidCursorError(
                f"{kind.__name__} must be an object, not {fields.kind(value)}."
            )
        return read({**absent, **value} if kind is Cursor else value, kind)

    return structured


def _tagged(converter: Converter) -> Callable[[Event], dict[str, object]]:
    def tagged(event: Event) -> dict[str, object]:
        plain = converter.unstructure(event, unstructure_as=type(event))
        return {"tag": TAGS[type(event)], **plain}

    return tagged


def _untagged(converter: Converter) -> Callable[[Any, Any], Event]:
    kinds = {tag: kind for kind, tag in TAGS.items()}

    def untagged(value: object, _: object) -> Event:
        if not isinstance(value, Mapping):
            raise InvalidCursorError(f"event must be an object, not {fields.kind(value)}.")
        plain = dict(value)
        tag = plain.pop("tag", None)
        if not isinstance(tag, str) or tag not in kinds:
            raise InvalidCursorError(
                f"tag must be one of {', '.join(kinds)}, not {tag!r:.80}; "
                "a newer version may know it."
            )
        return converter.structure(plain, kinds[tag])

    return untagged


def _wrapped(
    op: str, unstructured: Callable[[Request], object]
) -> Callable[[Request], dict[str, object]]:
    return lambda request: {"op": op, op: unstructured(request)}


def _unwrapped(converter: Converter) -> Callable[[Any, Any], Request]:
    def unwrapped(value: object, _: object) -> Request:
        if not isinstance(value, Mapping):
            raise InvalidCursorError(f"a request must be an object, not {fields.kind(value)}.")
        op = value.get("op")
        if not isinstance(op, str) or op not in _OPS:
            raise InvalidCursorError(f"op must be one of {', '.join(_OPS)}, not {op!r:.80}.")
        if set(value) != {"op", op}:
            raise InvalidCursorError(
                f'a request has two parts, {{"op": "{op}", "{op}": {{…}}}}; this one has '
                f"{', '.join(map(repr, value))!s:.200}."
            )
        return converter.structure(value[op], _OPS[op])

    return unwrapped
