"""The peer: the package `eventsourcing`, with a cursor as its aggregate, as its manual shows it.

An application with the SQLite module, in a file, and its defaults: a write-ahead log, and SQLite's
own `synchronous = FULL`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from eventsourcing.application import Application
    from eventsourcing.domain import Aggregate

__all__ = ["Peer"]


class Peer:
    """One application, and as many aggregates as are asked for."""

    def __init__(self, path: Path, *, lock_timeout_s: float = 5) -> None:
        application, self._aggregate = _definitions()
        environment = {
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": str(path),
            "SQLITE_LOCK_TIMEOUT": str(int(lock_timeout_s)),
        }
        self._application = application(env=environment)

    def start(self) -> Aggregate:
        cursor = self._aggregate()
        self._application.save(cursor)
        return cursor

    def advance(self, cursor: Aggregate, sequence: int, delivery_id: str) -> None:
        """Advance an aggregate that the caller has at hand."""
        cursor.advance(sequence, delivery_id)  # type: ignore[attr-defined]
        self._application.save(cursor)

    def get_and_advance(self, cursor_id: UUID, sequence: int, delivery_id: str) -> None:
        """Read the aggregate from its events, and advance it."""
        self.advance(self._application.repository.get(cursor_id), sequence, delivery_id)

    def close(self) -> None:
        self._application.close()


@cache
def _definitions() -> tuple[type[Application[UUID]], type[Aggregate]]:
    # Imported here, so that the rest can be measured without it.
    from eventsourcing.application import Application
    from eventsourcing.domain import Aggregate, event

    class Cursor(Aggregate):
        def __init__(self) -> None:
            self.last_sequence = 0
            self.last_delivery_id = ""

        @event("Advanced")
        def advance(self, sequence: int, delivery_id: str) -> None:
            if sequence < self.last_sequence:
                raise ValueError(sequence)
            self.last_sequence = sequence
            self.last_delivery_id = delivery_id

    return Application, Cursor
