"""Values that are not what they seem are kept as what they are, or refused; never stored odd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum, IntEnum, StrEnum
from typing import Any

import attrs
import pytest

import ledger
from ledger import (
    AdvanceCursor,
    CursorAdvanced,
    CursorKey,
    InvalidCursorError,
    Ledger,
    Outcome,
    RecordError,
)
from support.clock import Clock
from support.cursors import JOBS

NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)


class Shouting(str):
    """Says that it is something else."""

    __slots__ = ()

    def strip(self, *_: Any) -> Any:
        return "\0"

    def __str__(self) -> str:
        return "shouted"

    def isascii(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return str.__hash__(self)


class Colour(str, Enum):  # noqa: UP042 - the kind whose str() is not its value
    RED = "red"


class Other(StrEnum):
    SKIPPED = "skipped"


class Five(IntEnum):
    FIVE = 5


class Number(int):
    """Compares as it likes."""

    def __lt__(self, other: object) -> bool:
        return False

    def __le__(self, other: object) -> bool:
        return True

    def __gt__(self, other: object) -> bool:
        return True

    def __ge__(self, other: object) -> bool:
        return True


class Index:
    """An integer of another library, as numpy has them."""

    def __index__(self) -> int:
        return 5

    __int__ = __index__


def test_texts_of_other_types_are_kept_as_the_text_that_they_hold(book: Ledger) -> None:
    text: Any = Shouting("said")
    outcome: Any = Other.SKIPPED
    for kept, given in (("red", Colour.RED), ("skipped", Other.SKIPPED), ("said", text)):
        key = CursorKey(given, given, given)
        assert repr(key) == repr(CursorKey(kept, kept, kept))
        book.advance(
            key,
            to=1,
            delivery_id=given,
            actor=given,
            metadata={given: given},
            outcome=outcome,
        )
        book.reset(key, to=0, reason=given)
        book.record_error(key, given)
        advanced, reset, error = book.history(CursorKey(kept, kept, kept))
        assert type(advanced.key.consumer_id) is str
        assert advanced.actor == kept
        assert advanced.metadata == {kept: kept}
        assert isinstance(advanced.event, CursorAdvanced)
        assert advanced.event.delivery_id == kept
        assert advanced.event.outcome is Outcome.SKIPPED
        assert (reset.event.reason, error.event.message) == (kept, kept)  # type: ignore[union-attr]
    assert book.verify().ok


def test_integers_of_other_types_are_kept_as_integers_or_refused(book: Ledger) -> None:
    assert type(AdvanceCursor(JOBS, Five.FIVE).last_sequence) is int
    assert type(AdvanceCursor(JOBS, Number(5)).last_sequence) is int
    for wrong in (Number(-5), Number(2**70), True, Index(), 5.0, 5j):
        with pytest.raises(InvalidCursorError):
            AdvanceCursor(JOBS, wrong)  # type: ignore[arg-type]
    book.advance(JOBS, to=Five.FIVE, epoch=Number(0), expected_version=Number(0))
    assert book.verify().ok


class Odd(Mapping[str, str]):
    """A map whose methods fail, or never end."""

    def __init__(self, items: Callable[[], Any]) -> None:
        self._items = items

    def items(self) -> Any:
        return self._items()

    def __getitem__(self, name: str) -> str:
        raise OSError

    def __iter__(self) -> Iterator[str]:
        raise OSError

    def __len__(self) -> int:
        raise OSError


def endless() -> Iterator[tuple[str, str]]:
    number = 0
    while True:
        number += 1
        yield str(number), ""


def test_maps_that_cannot_be_read_are_refused() -> None:
    for items in (lambda: 1 / 0, endless, lambda: [1], lambda: [("a",)], lambda: None):
        with pytest.raises(InvalidCursorError, match="metadata"):
            RecordError(JOBS, "boom", metadata=Odd(items))
    given = Odd(lambda: [(Colour.RED, "a"), ("red", "b")])
    with pytest.raises(InvalidCursorError, match="twice"):
        RecordError(JOBS, "boom", metadata=given)


class Zone(tzinfo):
    """A zone whose offset is made as it is asked for."""

    def __init__(self, offset: Callable[[], Any]) -> None:
        self._offset = offset

    def utcoffset(self, _: datetime | None) -> Any:
        return self._offset()

    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, _: datetime | None) -> str:
        raise OSError


class Stamp(datetime):
    """As pandas has them: its own methods say something else, or fail."""

    def utcoffset(self) -> timedelta:
        return timedelta(hours=7)

    def isoformat(self, *_: Any, **__: Any) -> str:
        raise OSError

    def astimezone(self, *_: Any) -> Any:
        raise OSError

    def __repr__(self) -> str:
        raise OSError


class Beyond(datetime):
    """As pandas has them beyond the year 9999: what a datetime has of it is another year."""

    @property
    def year(self) -> int:
        return 12_000


def test_zones_that_cannot_say_their_offset_are_refused() -> None:
    for offset in (lambda: 1 / 0, lambda: None, lambda: 7, lambda: timedelta(hours=25)):
        with pytest.raises(InvalidCursorError, match="now"):
            RecordError(JOBS, "boom", now=datetime(2026, 5, 5, tzinfo=Zone(offset)))
    for wrong in (
        datetime.min.replace(tzinfo=Zone(lambda: timedelta(hours=1))),
        datetime.max.replace(tzinfo=Zone(lambda: timedelta(hours=-1))),
        Beyond(1970, 1, 1, tzinfo=UTC),
        Stamp(2026, 5, 5),
    ):
        with pytest.raises(InvalidCursorError, match="now"):
            RecordError(JOBS, "boom", now=wrong)


def test_times_of_other_types_are_kept_as_the_instant_that_they_hold(
    book: Ledger, clock: Clock
) -> None:
    second = Zone(lambda: timedelta(hours=1, seconds=1, microseconds=1))
    for given, kept in (
        (datetime(2026, 5, 5, 13, 0, 1, 1, tzinfo=second), NOON),
        (Stamp(2026, 5, 5, 12, tzinfo=UTC), NOON),
        (NOON.replace(fold=1), NOON),
    ):
        asked = AdvanceCursor(JOBS, 1, now=given, last_delivered_at=given)
        assert asked.now is not None
        assert type(asked.now) is datetime
        assert (repr(asked.now), repr(asked.last_delivered_at)) == (repr(kept), repr(kept))
        clock.now = given
        book.append([asked])
    assert {entry.recorded_at for entry in book.history(JOBS)} == {NOON}
    assert book.verify().ok


def test_a_clock_that_gives_no_time_appends_nothing(book: Ledger, clock: Clock) -> None:
    odd: Any
    for odd in (None, 7, "now", datetime(2026, 5, 5), Beyond(1970, 1, 1, tzinfo=UTC)):  # noqa: DTZ001
        clock.now = odd
        with pytest.raises(InvalidCursorError, match="clock"):
            book.advance(JOBS, to=1)
    assert list(book.entries()) == []
    assert book.verify().ok


# --- subclasses of our own values ---


@attrs.frozen
class Mine(AdvanceCursor):
    """A request that says another sequence each time it is asked."""

    note: str = attrs.field(default="", kw_only=True)

    def __getattribute__(self, name: str) -> Any:
        if name == "last_sequence":
            ASKED.append(name)
            return 100 - len(ASKED)
        return object.__getattribute__(self, name)


ASKED: list[str] = []


def test_a_request_of_a_subclass_is_taken_at_its_word_once(book: Ledger) -> None:
    for _ in range(2):
        book.append_each([Mine(JOBS, 50, note="mine")])
    first = book.get(JOBS)
    assert ledger.fold(book.history(JOBS)) == first
    assert book.verify().ok
