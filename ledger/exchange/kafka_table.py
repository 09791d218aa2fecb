"""The table that `kafka-consumer-groups --describe` prints, with what it prints around it.

The columns are as wide as their longest name, so the heading says where each begins; a group may
have spaces in it. Where the spaces were changed on the way, the words of a line are counted. A
partition for which nothing is committed has `-` for its offset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from ledger.exchange.kafka import checked_row, csv_row, is_heading
from ledger.exchange.lines import Line
from ledger.exchange.rows import Misread, Read

__all__ = ["rows"]


def rows(source: Iterator[Line]) -> Iterator[Read]:
    """Yield the rows of what Kafka's tool wrote: its CSV, or its tables, each under a heading."""
    table: _Table | None = None
    for line in source:
        if isinstance(line, Misread):
            yield line
            continue
        number, text = line
        if (heading := _Table.under(text)) is not None:
            table = heading
        elif table is not None and (cells := table.cells(text)) is not None:
            yield _row(number, cells)
        elif failed := _FAILED.match(text):
            yield Misread(number, f"Kafka's tool failed: {failed[1]!s:.300}")
        elif _CHATTER.match(text) or (number == 1 and is_heading(text)):
            continue
        elif table is None:
            yield csv_row(number, text)
        else:
            yield Misread(
                number, f"the line does not fit the heading of its table: {text.strip()!r:.120}"
            )


def _row(number: int, cells: dict[str, str]) -> Read:
    values: dict[str, str | None] = {"group": cells["GROUP"]} if "GROUP" in cells else {}
    for name, column in zip(("topic", "partition", "offset"), _NEEDED, strict=True):
        values[name] = None if cells[column] == _NONE else cells[column]
    return checked_row(number, values)


# What the tool, its logger and the Java machine print beside the table.
_CHATTER = re.compile(
    r"(\s*Consumer group '.*' (has no active members|is rebalancing)"
    r"|Warning:|Warn:|Note:|SLF4J|WARNING:|log4j|OpenJDK|Picked up "
    r"|\[\d{4}-\d\d-\d\d[ T][^\]]*\] (TRACE|DEBUG|INFO|WARN|ERROR) "
    r"|\s+at [\w.$/]+\(|Caused by: |\s*\.\.\. \d+ more"
    r"|(java|org\.apache)\.[\w.$]+(Exception|Error)\b)"
)
_FAILED = re.compile(r"Error: (.*)")
_NONE = "-"
_NEEDED = ("TOPIC", "PARTITION", "CURRENT-OFFSET")


@attrs.frozen
class _Table:
    """A heading, and how a line under it is read."""

    names: tuple[str, ...]
    starts: tuple[int, ...]

    @classmethod
    def under(cls, text: str) -> _Table | None:
        """Return the table that begins with this line, or None if it is not a heading."""
        found = list(re.finditer(r"\S+", text))
        names = tuple(word[0] for word in found)
        heading = names[:1] == ("GROUP",) or names[:1] == ("TOPIC",)
        if not heading or any(name not in names for name in _NEEDED):
            return None
        return cls(names, tuple(word.start() for word in found))

    def cells(self, text: str) -> dict[str, str] | None:
        """Return the cells of a line under this heading, or None if it does not fit."""
        return self._by_width(text) or self._by_words(text)

    def _by_width(self, text: str) -> dict[str, str] | None:
        """Return the cells of a line whose names are as wide as the heading says."""
        # The tool counts units of UTF-16.
        units = text.encode("utf-16-le", "surrogatepass")
        at = self.names.index("PARTITION")
        cells: dict[str, str] = {}
        for name, start, end in zip(
            self.names[:at], self.starts[:at], self.starts[1:], strict=False
        ):
            cell = units[2 * start : 2 * end].decode("utf-16-le", "replace")
            if not cell.strip() or cell[0].isspace() or not cell[-1].isspace():
                return None
            cells[name] = cell.strip()
        words = units[2 * self.starts[at] :].decode("utf-16-le", "replace")
        if words[:1].isspace() or any(char.isspace() for char in cells["TOPIC"]):
            return None
        # A number may be longer than its column, but none has a space in it.
        numbers = words.split()
        offset = self.names.index("CURRENT-OFFSET") - at
        if len(numbers) <= offset or not all(map(_IS_NUMBER.fullmatch, numbers[: offset + 1])):
            return None
        return {**cells, "PARTITION": numbers[0], "CURRENT-OFFSET": numbers[offset]}

    def _by_words(self, text: str) -> dict[str, str] | None:
        words = text.split()
        return dict(zip(self.names, words, strict=True)) if len(words) == len(self.names) else None


_IS_NUMBER = re.compile(r"-|-?[0-9]+")
