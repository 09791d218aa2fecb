"""Cursors, requests and entries as plain JSON values, in the names that the JSON of requests has.

What is read is distrusted: nothing is coerced, and nothing unknown is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, overload

import attrs

from ledger.errors import InvalidCursorError, invalid
from ledger.law import fields
from ledger.law.cursor import Cursor, CursorKey, Outcome
from ledger.law.events import Entry, Event
from ledger.law.requests import Request
from ledger.log.ops import OPS
from ledger.log.plain import unstructure
from ledger.log.rows import TAGS
from ledger.log.text import parse_time

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["structure", "unstructure"]

T = TypeVar("T")


@overload
def structure(data: object, kind: type[T]) -> T: ...
@overload
def structure(data: object, kind: UnionType) -> Any: ...  # noqa: ANN401 - one of the union
def structure(data: object, kind: Any) -> Any:
    """Return the value of type `kind` that plain JSON values describe; nothing is coerced.

    `kind` is a request type, `Request` for any of them, `Cursor`, `CursorKey`, `CursorQuery` or
    `Entry`. A missing optional field has its empty value.

    Raises InvalidCursorError, which names the field, and ResetReasonRequiredError.
    """
    from cattrs.errors import ClassValidationError

    try:
        return _converter().structure(data, kind)
    except ClassValidationError as error:
        raise _refusal(error) from None


# What a Go program writes for a time that was never set.
_GO_ZERO_TIME = "0001-01-01T00:00:00Z"

# The field that a hook refuses: cattrs tells a hook its type, and names its field in the error.
_UNNAMED = "value"


@cache
def _converter() -> Converter:
    # Imported here, because it takes as long as all other imports, and many callers never need it.
    from cattrs import Converter

    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, lambda value, _: fields.storable(value, _UNNAMED))
    converter.register_structure_hook(int, lambda value, _: _integer(value))
    converter.register_structure_hook(bool, lambda value, _: value)  # The query refuses others.
    converter.register_structure_hook(bytes, lambda value, _: _digest(value))
    converter.register_structure_hook(datetime, lambda value, _: _time(value))
    converter.register_structure_hook(datetime | None, lambda value, _: _optional_time(value))
    converter.register_structure_hook(Outcome, lambda value, _: Outcome.of(value))
    converter.register_structure_hook_func(
        lambda kind: kind == Mapping[str, str], lambda value, _: fields.kept_metadata(value)
    )
    converter.register_structure_hook_factory(attrs.has, lambda kind: _objects(converter, kind))
    converter.register_structure_hook(Event, _untagged(converter))
    converter.register_structure_hook(Request, _unwrapped(converter))
    return converter


# --- refusals: cattrs collects what its hooks raise, and notes the field on each ---


def _refusal(failure: BaseException) -> BaseException:
    """Return the first refusal, with the name of its field."""
    from cattrs.errors import AttributeValidationNote, ClassValidationError, ForbiddenExtraKeysError

    error: BaseException = failure
    while isinstance(error, ClassValidationError):
        error = error.exceptions[0]
    notes = error.__dict__.pop("__notes__", [])
    if isinstance(error, KeyError):
        return invalid(str(error.args[0]), "is missing.")
    if isinstance(error, ForbiddenExtraKeysError):
        known = tuple(field.name for field in attrs.fields(error.cl))
        return _unknown(error.extra_fields, f"{error.cl.__name__} has {', '.join(known)}", known)
    if isinstance(error, InvalidCursorError) and error.field == _UNNAMED and error.problem:
        names = [note.name for note in notes if isinstance(note, AttributeValidationNote)]
        return invalid(
            names[0] if names else _UNNAMED,
            error.problem,
            value=error.value,
            bound=error.bound,
            allowed=error.allowed,
        )
    return error


def _unknown(extra: set[str], has: str, known: tuple[str, ...]) -> InvalidCursorError:
    said = f"{', '.join(sorted(map(repr, extra))):.200}"
    error = InvalidCursorError(f"{said} is not known here; {has}.")
    error.value, error.allowed = said, known
    return error


# --- values of one type ---


def _integer(value: object, name: str = _UNNAMED) -> int:
    return fields.sequence(value, name, least=-fields.SEQUENCE_MAX - 1)


def _time(value: object) -> datetime:
    return parse_time(fields.storable(value, _UNNAMED), _UNNAMED)


def _optional_time(value: object) -> datetime | None:
    return None if value is None or value == _GO_ZERO_TIME else _time(value)


def _digest(value: object) -> bytes:
    digest = fields.storable(value, _UNNAMED)
    if not re.fullmatch("[0-9a-f]{64}", digest):
        said = f"{digest!r:.80}"
        raise invalid(_UNNAMED, f"must be 64 hexadecimal digits, not {said}.", value=said)
    return bytes.fromhex(digest)


# --- objects ---


def _objects(converter: Converter, kind: type[T]) -> Callable[[Any, Any], T]:
    """Return the hook that reads a JSON object into the class `kind`."""
    from cattrs import override
    from cattrs.gen import make_dict_structure_fn

    # An error message may have anything in it: RecordError replaces what cannot be stored.
    hooks: dict[str, Any] = {
        "last_error": override(struct_hook=lambda value, _: fields.exact(value, "last_error")),
        # Refused under its name, because the refusal says what to do with another position.
        "last_sequence": override(struct_hook=lambda value, _: _integer(value, "last_sequence")),
    }
    absent: dict[str, object] = {}
    if kind in (Cursor, Entry):
        hooks["key"] = override(struct_hook=lambda value, _: _kept_key(value))
    if kind is Cursor:
        # In the reference's JSON a cursor leaves out what is empty.
        absent = {"last_delivery_id": "", "last_delivered_at": None, "last_error": ""}
    read = make_dict_structure_fn(kind, converter, **hooks)
    return lambda value, _: read({**absent, **_object(value, kind.__name__)}, kind)


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        said = fields.kind(value)
        raise invalid(name, f"must be an object, not {said}.", value=said)
    return value


def _kept_key(value: object) -> CursorKey:
    given = {"subject_id": "", **_object(value, "CursorKey")}
    if extra := given.keys() - {"consumer_id", "stream_name", "subject_id"}:
        raise InvalidCursorError(f"{', '.join(map(repr, extra))!s:.200} is not known here.")
    return CursorKey.kept(given["consumer_id"], given["stream_name"], given["subject_id"])


# --- unions: events by their tag, requests by their op ---


def _untagged(converter: Converter) -> Callable[[Any, Any], Event]:
    kinds = {tag: kind for kind, tag in TAGS.items()}

    def untagged(value: object, _: object) -> Event:
        plain = dict(_object(value, "event"))
        tag = plain.pop("tag", None)
        if not isinstance(tag, str) or tag not in kinds:
            said = f"{tag!r:.80}"
            raise invalid(
                "tag",
                f"must be one of {', '.join(kinds)}, not {said}; a newer version may know it.",
                value=said,
                allowed=tuple(kinds),
            )
        return converter.structure(plain, kinds[tag])

    return untagged


def _unwrapped(converter: Converter) -> Callable[[Any, Any], Request]:
    def unwrapped(value: object, _: object) -> Request:
        given = _object(value, "a request")
        op = given.get("op")
        if not isinstance(op, str) or op not in OPS:
            said = f"{op!r:.80}"
            raise invalid(
                "op",
                f"must be one of {', '.join(OPS)}, not {said}.",
                value=said,
                allowed=tuple(OPS),
            )
        if set(given) != {"op", op}:
            raise InvalidCursorError(
                f'a request has two parts, {{"op": "{op}", "{op}": {{…}}}}; this one has '
                f"{', '.join(map(repr, given))!s:.200}."
            )
        return converter.structure(given[op], OPS[op])

    return unwrapped
