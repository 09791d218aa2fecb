"""How columns share the width of a terminal, and how a text is shortened to its share. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import attrs

__all__ = [
    "ELLIPSIS",
    "GAP",
    "READABLE",
    "TIGHT",
    "Bounds",
    "Kind",
    "Part",
    "fit",
    "padded",
    "shared",
    "shortened",
    "together",
    "width_of",
]

GAP = 2
"""The number of blanks between two columns."""

ELLIPSIS = "…"


class Kind(Enum):
    """What a column has in it, which says how it stands and how it is shortened."""

    TEXT = "text"
    """It is cut at its end."""
    NAME = "name"
    """It is shortened in the middle, because names differ at both ends."""
    CURSOR = "cursor"
    """Names in one word: each of them is shortened like a name."""
    WORDS = "words"
    """A few words of the command's own: cut at its end, but only where nothing else helps."""
    NUMBER = "number"
    """It stands right, and is never shortened."""
    PLACE = "place"
    """A number, and what its source calls it, of which the end may be cut."""
    TIME = "time"
    """It is never shortened here; the table words it shorter."""
    AGE = "age"
    """A time that a table on a terminal words as how long ago it was; any other, as a time."""


Bounds = Mapping[Kind, int]
"""The least width of each kind that is shortened at all."""


@attrs.frozen
class Part:
    """A column as a layout sees it: its kind, and the widths of its heading and widest cell."""

    kind: Kind
    heading: int
    widest: int

    @property
    def natural(self) -> int:
        """The width at which nothing of it is shortened."""
        return max(self.heading, self.widest)

    def least(self, bounds: Bounds) -> int:
        """The width down to which it is shortened; `bounds` has the kinds that are."""
        return min(self.natural, bounds.get(self.kind, self.natural))


READABLE = {Kind.CURSOR: 24, Kind.NAME: 14, Kind.PLACE: 36, Kind.TEXT: 24}
"""Down to these widths names and texts still say what is meant."""
TIGHT = {Kind.CURSOR: 18, Kind.NAME: 9, Kind.PLACE: 28, Kind.TEXT: 12, Kind.WORDS: 16}
"""Down to these they can be told apart."""
_LEAST = {Kind.CURSOR: 4, Kind.NAME: 4, Kind.PLACE: 20, Kind.TEXT: 4, Kind.WORDS: 4}


def fit(parts: Iterable[Part], width: int, bounds: Bounds) -> bool:
    """Return whether a row fits `width` with nothing shortened below `bounds`."""
    return together(part.least(bounds) for part in parts) <= width


def shared(parts: Sequence[Part], width: int) -> list[int]:
    """Return the width of each column, so that a row fits `width` if it can."""
    bounds = next((each for each in (READABLE, TIGHT) if fit(parts, width, each)), _LEAST)
    widths = [part.least(bounds) for part in parts]
    room = width - together(widths)
    for kinds in ({Kind.PLACE, Kind.WORDS}, {Kind.CURSOR, Kind.NAME, Kind.TEXT}):
        while short := [
            place
            for place, part in enumerate(parts)
            if part.kind in kinds and widths[place] < part.natural
        ]:
            if room < len(short):
                break
            # As far as until the next of them is whole, or as there is room for all of them.
            missing = min(parts[place].natural - widths[place] for place in short)
            step = min(room // len(short), missing)
            for place in short:
                widths[place] += step
            room -= step * len(short)
    return widths


def together(widths: Iterable[int]) -> int:
    """Return how wide columns of these widths are in one row."""
    every = list(widths)
    return sum(every) + GAP * (len(every) - 1)


# --- text in columns of a terminal, of which a wide character takes two ---


def width_of(text: str) -> int:
    """Return how many columns `text` takes."""
    if text.isascii():
        return len(text)
    # Imported here: it takes 8 ms, and most commands print no table.
    from wcwidth import wcswidth

    return max(wcswidth(text), 0)


def shortened(text: str, width: int, kind: Kind) -> str:
    """Return `text`, or what of it fits `width`, with an ellipsis where something is missing."""
    if width_of(text) <= width:
        return text
    room = width - 1
    if kind is Kind.CURSOR and (parts := _each_shortened(text.split("/"), width)):
        return "/".join(parts)
    if kind not in {Kind.CURSOR, Kind.NAME}:
        return _start(text, room).rstrip() + ELLIPSIS
    end = _end(text, room // 2)
    return _start(text, room - width_of(end)) + ELLIPSIS + end


NAME_LEAST = 5
"""The width down to which a name beside others can be told apart: two letters on each side."""


def _each_shortened(names: Sequence[str], width: int) -> list[str]:
    """Return names that fit `width` with the slashes between them; none if they cannot be read.

    All of them stay, because one consumer is on many streams, and one stream has many consumers.
    """
    room = width - (len(names) - 1)
    given = [0] * len(names)
    # What a short name leaves is for the longer ones.
    shortest_first = sorted(range(len(names)), key=lambda place: width_of(names[place]))
    for left, place in zip(range(len(names), 0, -1), shortest_first, strict=True):
        given[place] = min(width_of(names[place]), room // left)
        room -= given[place]
    if any(
        share < min(NAME_LEAST, width_of(name)) for name, share in zip(names, given, strict=True)
    ):
        return []
    return [shortened(name, share, Kind.NAME) for name, share in zip(names, given, strict=True)]


def _start(text: str, width: int) -> str:
    """Return as much of the beginning of `text` as `width` has room for."""
    if text.isascii():
        return text[:width]
    place = _places(text, width)
    # Some characters take less or more room behind others than alone.
    while width_of(text[:place]) > width:
        place -= 1
    return text[:place]


def _end(text: str, width: int) -> str:
    """Return as much of the end of `text` as `width` has room for."""
    place = len(text) - (width if text.isascii() else _places(text[::-1], width))
    while width_of(text[place:]) > width:
        place += 1
    return text[place:]


def _places(text: Iterable[str], width: int) -> int:
    """Return how many characters fit `width` if each takes what it takes alone."""
    from wcwidth import wcwidth

    place = taken = 0
    for place, character in enumerate(text, 1):
        taken += max(wcwidth(character), 0)
        if taken > width:
            return place - 1
    return place


def padded(text: str, width: int, kind: Kind) -> str:
    """Return `text` with blanks to `width`: before a number, else behind it."""
    blanks = " " * (width - width_of(text))
    return blanks + text if kind in {Kind.NUMBER, Kind.PLACE} else text + blanks
