"""CSV, in which no text from the log starts a formula in a spreadsheet."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from ledger.cli.shown.records import flat, names_of
from ledger.law.events import Entry
from ledger.log.text import dumps, visible

__all__ = ["print_csv", "write_csv"]

# What a spreadsheet takes for the beginning of a formula: = + @ - and their full-width, small,
# raised and lowered forms. White space and quotes in front do not help, and a cell is split again
# where another separator is set (OWASP, "CSV Injection").
_SIGNS = (
    "=+@\\-\uff1d\uff0b\uff20\uff0d\ufe66\ufe62\ufe6b\ufe63\u207c\u207a\u207b\u208c\u208a\u208b"
    "\u2212\ufb29"
)
_FORMULA = re.compile(rf"""(^|[;,|\t])([\s"]*)(?=[{_SIGNS}])""")


def print_csv(
    values: Iterable[Any],
    of: Sequence[type | str],
    plain: Callable[[Any], dict[str, Any]],
    file: TextIO | None = None,
) -> None:
    """Print `values` as `write_csv` writes them, or write them to a `file`."""
    write_csv(sys.stdout if file is None else file, values, of, plain)


def write_csv(
    file: TextIO,
    values: Iterable[Any],
    of: Sequence[type | str],
    plain: Callable[[Any], dict[str, Any]],
) -> None:
    """Write `values`, each as the cells that `plain` makes of it, under a heading.

    `of` names what is in the heading, also where there are no values: kinds of values, whose fields
    are meant, or names.
    """
    writer = csv.writer(file, lineterminator="\n")
    names = list(dict.fromkeys(name for kind in of for name in names_of(kind)))
    if names:
        writer.writerow(names)
    for value in values:
        record = flat(plain(value))
        if not names:
            names = list(names_of(type(value)) if isinstance(value, Entry) else record)
            writer.writerow(map(_defused, names))
        writer.writerow([_defused(record.get(name)) for name in names])


def _defused(value: object) -> object:
    if isinstance(value, dict | list):
        value = dumps(value)
    return _FORMULA.sub(r"\1\2'", visible(value)) if isinstance(value, str) else value
