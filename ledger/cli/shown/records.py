"""JSON values as records of named fields, of which --columns, --sort and --template choose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from ledger.law.cursor import CursorKey
from ledger.law.events import Entry
from ledger.log.rows import KEPT_AS

__all__ = ["OPEN", "field_of", "flat", "names_of", "spread"]

OPEN = ("metadata", "at_source")
"""Fields whose names differ from record to record; a record need not have them."""


def names_of(kind: type | str) -> Iterable[str]:
    """Return the names of the fields of a kind of values; a name stands for itself."""
    if isinstance(kind, str):
        return [kind]
    if kind is Entry:
        return _ENTRY
    return [
        name
        for field in attrs.fields(kind)
        for name in (names_of(CursorKey) if field.name == "key" else [field.name])
    ]


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `record`, with those of its key and its event beside the others."""
    fields: dict[str, Any] = {}
    for name, value in record.items():
        if name in ("key", "event"):
            # An entry has the columns of the log.
            fields.update((KEPT_AS.get(part, part), said) for part, said in (value or {}).items())
        else:
            fields[name] = value
    return fields


def spread(record: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return `record` with what is in each of `names` beside it, as `name_inner`, for one line.

    The key is left where it is: it is that of the record.
    """
    inner = {
        f"{name}_{part}": said
        for name in names
        for part, said in (record.get(name) or {}).items()
        if part != "key"
    }
    return {**record, **inner}


def field_of(fields: Mapping[str, Any], name: str) -> Any:
    """Return the field that is called `name`, or `outer.inner`; None if it is not there."""
    found: Any = fields
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


_ENTRY = (
    "position",
    "consumer_id",
    "stream_name",
    "subject_id",
    "version",
    "epoch",
    "recorded_at",
    "actor",
    "metadata",
    "tag",
    "previous_sequence",
    "sequence",
    "delivery_id",
    "delivered_at",
    "outcome",
    "reason",
    "message",
    "occurred_at",
    "digest",
)
