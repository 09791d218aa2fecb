"""CSV, in which no text from the log starts a formula in a spreadsheet."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from ledger.law.cursor import CursorKey
from ledger.law.events import Entry
from ledger.log.rows import KEPT_AS
from ledger.log.text import dumps, visible

__all__ = ["print_csv"]

# What a spreadsheet takes for the beginning of a formula: = + @ - and their full-width, small,
# raised and lowered forms. White space and quotes in front do not help, and a cell is split again
# where another separator is set (OWASP, "CSV Injection").
_SIGNS = (
    "=+@\\-\uff1d\uff0b\uff20\uff0d\ufe66\ufe62\ufe6b\ufe63\u207c\u207a\u207b\u208c\u208a\u208b"
    "\u2212\ufb29"
)
_FORMULA = re.compile(rf"""(^|[;,|\t])([\s"]*)(?=[{_SIGNS}])""")


def print_csv(
    values: Iterable[Any], of: Sequence[type | str], plain: Callable[[Any], dict[str, Any]]
) -> None:
    """Print `values`, each as the cells that `plain` makes of it, under a heading.

    `of` names what is in the heading, also where there are no values: kinds of values, whose fields
    are meant, or names.
    """
    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = list(dict.fromkeys(name for kind in of for name in _names(kind)))
    if names:
        writer.writerow(names)
    for value in values:
        record = _flat(plain(value))
        if not names:
            names = list(_names(type(value)) if isinstance(value, Entry) else record)
            writer.writerow(map(_defused, names))
        writer.writerow([_defused(record.get(name)) for name in names])


def _names(kind: type | str) -> Iterable[str]:
    if isinstance(kind, str):
        return [kind]
    if kind is Entry:
        return _ENTRY_COLUMNS
    return [
        name
        for field in attrs.fields(kind)
        for name in (_names(CursorKey) if field.name == "key" else [field.name])
    ]


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if name in ("key", "event"):
            # An entry has the columns of the log.
            flat.update((KEPT_AS.get(part, part), said) for part, said in (value or {}).items())
        else:
            flat[name] = dumps(value) if isinstance(value, dict | list) else value
    return flat


def _defused(value: object) -> object:
    return _FORMULA.sub(r"\1\2'", visible(value)) if isinstance(value, str) else value


_ENTRY_COLUMNS = (
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
