"""How values are written: as rows of the log, and as JSON. What is read is distrusted.

The tags are frozen: an entry is stored under its tag for ever, and another shape gets another tag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, assert_never, overload

import attrs

from ledger import fields
from ledger.cursor import Cursor, CursorKey, CursorQuery, Outcome
from ledger.errors import BrokenChainError, InvalidCursorError
from ledger.events import CursorAdvanced, CursorReset, Entry, ErrorRecorded, Event
from ledger.requests import AdvanceCursor, RecordError, Request, ResetCursor

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = [
    "TAGS",
    "Content",
    "content",
    "dumps",
    "entry",
    "instant",
    "loads",
    "micros",
    "parse_time",
    "show_time",
    "structure",
    "unstructure",
]

TAGS: Mapping[type[Event], str] = {
    CursorAdvanced: "cursor.advanced.v1",
    CursorReset: "cursor.reset.v1",
    ErrorRecorded: "cursor.error.v1",
}

Content: TypeAlias = tuple[
    str,  # consumer_id
    str,  # stream_name
    str,  # subject_id
    int,  # version
    int,  # epoch
    int,  # recorded_at
    str,  # actor
    str | None,  # metadata, as JSON
    str,  # tag
    int | None,  # previous_sequence
    int | None,  # sequence
    str | None,  # delivery_id
    int | None,  # delivered_at
    str | None,  # outcome
    str | None,  # reason
    str | None,  # message
    int,  # occurred_at
]
"""What an entry says, in the order of its digest: plain values, times as microseconds."""

Row: TypeAlias = tuple[Any, ...]
"""A row of the log as a database gives it: position, content, digest."""

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


# --- times ---


def micros(moment: datetime) -> int:
    """Give the microseconds from 1970 UTC to `moment`."""
    return (moment - _EPOCH) // _MICROSECOND


def instant(microseconds: int) -> datetime:
    """Give the moment that many microseconds after 1970 UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def show_time(moment: datetime) -> str:
    """Give `moment` in RFC 3339, in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


# datetime.fromisoformat takes much more than RFC 3339: week dates, times without zones.
_RFC_3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


def parse_time(value: str, name: str) -> datetime:
    """Give the moment that an RFC 3339 text names, cut to the microsecond.

    Raises InvalidCursorError.
    """
    if _RFC_3339.fullmatch(value):
        try:
            return fields.moment(datetime.fromisoformat(value.upper()), name)
        except ValueError:
            pass
    raise InvalidCursorError(
        f"{name} must be a time like 2026-05-05T16:00:01Z (RFC 3339), not {value!r:.60}."
    )


# --- rows ---


def content(  # noqa: PLR0917 - in the order of the digest
    key: CursorKey,
    version: int,
    epoch: int,
    recorded_at: int,
    actor: str,
    metadata: Mapping[str, str],
    event: Event,
) -> Content:
    """Give what an entry says as plain values."""
    head = (
        key.consumer_id,
        key.stream_name,
        key.subject_id,
        version,
        epoch,
        recorded_at,
        actor,
        dumps(dict(sorted(metadata.items()))) if metadata else None,
        TAGS[type(event)],
    )
    match event:
        case CursorAdvanced():
            return (
                *head,
                event.previous_sequence,
                event.sequence,
                event.delivery_id,
                micros(event.delivered_at),
                event.outcome.value,
                None,
                None,
                micros(event.occurred_at),
            )
        case CursorReset():
            return (
                *head,
                event.previous_sequence,
                event.sequence,
                event.delivery_id,
                None if event.delivered_at is None else micros(event.delivered_at),
                None,
                event.reason,
                None,
                micros(event.occurred_at),
            )
        case ErrorRecorded():
            nothing = (None, None, None, None, None, None)
            return (*head, *nothing, event.message, micros(event.occurred_at))
        case _:
            assert_never(event)


def entry(row: Row) -> Entry:
    """Give the entry that a row of the log holds.

    Raises BrokenChainError if it holds none: wrong types, an unknown tag, a time out of range.
    """
    # The types of a whole row are looked up at once: checking column by column took 1.6 µs more.
    if tuple(map(type, row)) not in _SHAPES.get(row[_TAG], ()):
        raise BrokenChainError(f"position {row[0]}", _misfit(row))
    (
        position,
        consumer_id,
        stream_name,
        subject_id,
        version,
        epoch,
        recorded_at,
        actor,
        metadata,
        tag,
        previous_sequence,
        sequence,
        delivery_id,
        delivered_at,
        outcome,
        reason,
        message,
        occurred_at,
        digest,
    ) = row
    try:
        event: Event
        if tag == TAGS[CursorAdvanced]:
            event = CursorAdvanced(
                previous_sequence=previous_sequence,
                sequence=sequence,
                delivery_id=delivery_id,
                delivered_at=instant(delivered_at),
                outcome=Outcome(outcome),
                occurred_at=instant(occurred_at),
            )
        elif tag == TAGS[CursorReset]:
            event = CursorReset(
                previous_sequence=previous_sequence,
                sequence=sequence,
                delivery_id=delivery_id,
                delivered_at=None if delivered_at is None else instant(delivered_at),
                reason=reason,
                occurred_at=instant(occurred_at),
            )
        else:
            event = ErrorRecorded(message=message, occurred_at=instant(occurred_at))
        return Entry(
            position=position,
            key=_key(consumer_id, stream_name, subject_id),
            version=version,
            epoch=epoch,
            recorded_at=instant(recorded_at),
            actor=actor,
            metadata=fields.metadata(loads(metadata)) if metadata else {},
            event=event,
            digest=digest,
        )
    except (ValueError, OverflowError) as error:
        raise BrokenChainError(f"position {position}", f"it cannot be read: {error}") from None


_TAG = 9


def _shapes() -> dict[str, frozenset[tuple[type, ...]]]:
    null = type(None)
    head = (int, str, str, str, int, int, int, str)
    tails: dict[type[Event], list[tuple[type, ...]]] = {
        CursorAdvanced: [(int, int, str, int, str, null, null, int)],
        CursorReset: [(int, int, str, at, null, str, null, int) for at in (int, null)],
        ErrorRecorded: [(null, null, null, null, null, null, str, int)],
    }
    return {
        TAGS[kind]: frozenset(
            (*head, metadata, str, *tail, bytes) for tail in variants for metadata in (str, null)
        )
        for kind, variants in tails.items()
    }


_SHAPES = _shapes()


def _misfit(row: Row) -> str:
    if row[_TAG] not in _SHAPES:
        return (
            f"its tag is {row[_TAG]!r:.60}, which this version does not know; "
            "it was edited, or written by a newer version"
        )
    return f"its columns are not those of a {row[_TAG]}"


@lru_cache(maxsize=4_096)
def _key(consumer_id: str, stream_name: str, subject_id: str) -> CursorKey:
    return CursorKey(consumer_id, stream_name, subject_id)


# --- JSON ---


def dumps(value: object) -> str:
    """Give `value`, of plain types, as JSON without white space and with non-ASCII kept."""
    return _encode(value)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def loads(text: str | bytes) -> object:
    """Give the value of a JSON text; refuse what is none, and an object that says a thing twice.

    Raises InvalidCursorError.
    """
    try:
        value: object = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InvalidCursorError(f"not JSON: {error}") from None
    return value


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
            field.name: override(struct_hook=_reader(converter, field.name, field.type))
            for field in attrs.fields(attrs.resolve_types(kind))
        }
        read = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True, **hooks)
        converter.register_structure_hook(kind, _object(kind, read))
    wrap = converter.get_unstructure_hook
    for op, kind in _OPS.items():
        converter.register_unstructure_hook(kind, _wrapped(op, wrap(kind)))
    return converter


def _reader(converter: Converter, name: str, kind: Any) -> Callable[[Any, Any], Any]:  # noqa: ANN401, PLR0911 - a table
    """Give the function that reads the field `name` of type `kind`, and coerces nothing."""

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
        return lambda value, _: fields.metadata(value)
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


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r:.80} stands there twice")
    return values
