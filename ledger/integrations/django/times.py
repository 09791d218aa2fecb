"""Times of the log in Django's models: stored as microseconds since 1970 UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import models
from django.utils.dateparse import parse_datetime

__all__ = ["Moment"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moment(models.BigIntegerField):
    """An aware time, in UTC; compared with others by aware times."""

    def from_db_value(self, value: int | None, *_: object) -> datetime | None:
        """Return the time that is stored; None where none is."""
        return None if value is None else _EPOCH + value * _MICROSECOND

    def get_prep_value(self, value: Any) -> Any:
        """Return what is stored for a time."""
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise ValueError(
                    f"{self.name} is compared with aware times, and {value} has no zone."
                )
            return (value - _EPOCH) // _MICROSECOND
        return super().get_prep_value(value)

    def to_python(self, value: Any) -> Any:
        """Return a time as it is, or as a fixture has it."""
        if isinstance(value, str) and (time := parse_datetime(value)) is not None:
            return time
        return value if isinstance(value, datetime) else super().to_python(value)
