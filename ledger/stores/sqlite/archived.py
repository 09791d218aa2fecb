"""What is kept of entries that were archived and pruned. None of them looks as if it never was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ledger.errors import ArchivedError
from ledger.law.reserved import ARCHIVE, ARCHIVED_STREAM
from ledger.log.columns import KEY, MOVE, STATE, Row
from ledger.log.text import dumps, micros
from ledger.stores.sqlite import statements

if TYPE_CHECKING:
    from ledger.evidence.findings import Fault
    from ledger.law.cursor import CursorKey
    from ledger.law.queries import EntryQuery

__all__ = ["Archived", "check", "found", "states_digest"]

Ask = Callable[[str, Sequence[object]], "list[Row]"]
"""Runs a statement, and returns its rows."""

_LAST = "SELECT +position FROM main.ledger_archived ORDER BY position DESC LIMIT 1"
_LATEST = "SELECT +recorded_at FROM main.ledger_archived ORDER BY recorded_at DESC LIMIT 1"
_OF_KEY = "c.stream_name = ? AND c.subject_id = ? AND c.consumer_id = ?"
_CURSOR = f"""
SELECT +a.version, {", ".join(f"+a.moved_{name}" for name in MOVE.names)}
FROM main.ledger_cursors AS c CROSS JOIN main.ledger_archived_cursors AS a ON a.cursor_id = c.id
WHERE {_OF_KEY}
"""  # noqa: S608 - of constants
_FIRST = "SELECT +position, +digest FROM main.ledger_archived ORDER BY position LIMIT 1"
_LAST_OF_KEY = f"""
SELECT +a.version, +a.digest
FROM main.ledger_cursors AS c CROSS JOIN main.ledger_archived_cursors AS a ON a.cursor_id = c.id
WHERE {_OF_KEY}
"""  # noqa: S608 - of constants
_NAMED = """
SELECT 1 FROM main.ledger_cursors AS c
CROSS JOIN main.ledger_archived_cursors AS a ON a.cursor_id = c.id
WHERE {conditions} LIMIT 1
"""
_PRUNED = f"""
SELECT +e.position, +e.actor, +e.reason, +e.metadata
FROM main.ledger_cursors AS c
CROSS JOIN main.ledger_events AS e ON e.cursor_id = c.id
WHERE {_OF_KEY} AND e.sequence = ? ORDER BY e.version LIMIT 100
"""  # noqa: S608 - of constants
_STATES = f"""
SELECT {", ".join(f"+c.{name}" for name in KEY.names)}, +a.position,
    {", ".join(f"+a.{name}" for name in STATE.names)},
    {", ".join(f"+a.moved_{name}" for name in MOVE.names)}
FROM main.ledger_archived_cursors AS a
LEFT JOIN main.ledger_cursors AS c ON c.id = a.cursor_id ORDER BY a.cursor_id
"""  # noqa: S608 - of constants
# Times never go back within a cursor, and where each one stood is covered by a digest. A row that
# says otherwise would let a question about a time be answered as if nothing had been archived.
_TIMES = """
SELECT +a.position FROM main.ledger_archived_cursors AS a
LEFT JOIN main.ledger_archived AS e ON e.position = a.position
WHERE e.recorded_at IS NOT a.recorded_at
"""
_LATER = """
SELECT +position FROM main.ledger_archived WHERE recorded_at > (
    SELECT recorded_at FROM main.ledger_archived_cursors ORDER BY recorded_at DESC LIMIT 1
) LIMIT 1
"""
_BEFORE = """
SELECT +position FROM main.ledger_events NOT INDEXED ORDER BY position LIMIT 1
"""


def found(ask: Ask) -> Archived | None:
    """Return what is known of the entries that were archived; None if there are none."""
    if not ask(statements.HAS_ARCHIVED, ()):
        return None
    last = ask(_LAST, ())
    return Archived(last[0][0]) if last else None


class Archived:
    """The entries up to a position, which are in an archive and no longer here."""

    def __init__(self, position: int) -> None:
        self.position = position
        self._latest: int | None = None

    def refusal(self, ask: Ask, query: EntryQuery) -> ArchivedError | None:
        """Return the error for a query that may choose one of them; None if it chooses none."""
        if self._is_behind(ask, query) or self._is_of_others(ask, query):
            return None
        return self.error(ask, query.key)

    def _is_behind(self, ask: Ask, query: EntryQuery) -> bool:
        """Return whether `query` chooses only what comes behind them."""
        if query.position_from is not None and query.position_from > self.position:
            return True
        if query.positions and min(query.positions) > self.position:
            return True
        if query.recorded_from is None:
            return False
        if self._latest is None:
            self._latest = ask(_LATEST, ())[0][0]
        return micros(query.recorded_from) > self._latest

    def _is_of_others(self, ask: Ask, query: EntryQuery) -> bool:
        """Return whether `query` chooses cursors, or versions of one, that have none of them."""
        if query.key is not None:
            rows = ask(_CURSOR, _place(query.key))
            # A version that is no number was edited, and says nothing.
            if not rows or (type(rows[0][0]) is int and (query.version_from or 0) > rows[0][0]):
                return True
        named = [(name, value) for name in KEY.names if (value := getattr(query, name))]
        if not named:
            return False
        conditions = " AND ".join(f"c.{name} = ?" for name, _ in named)
        return not ask(_NAMED.format(conditions=conditions), [value for _, value in named])

    def moved(self, ask: Ask, key: CursorKey, version: int) -> Row | None:
        """Return the last move of `key` among them, in the order of `MOVE`, if it had no later one.

        Raises ArchivedError if it had: which one came before `version` is in the archive.
        """
        rows = ask(_CURSOR, _place(key))
        if not rows:
            return None
        last, *moved = rows[0]
        if moved[0] is None and type(last) is int and last <= version:
            return None
        if type(moved[0]) is not int or moved[0] > version:
            raise self.error(ask, key)
        return tuple(moved)

    def error(self, ask: Ask, key: CursorKey | None = None) -> ArchivedError:
        """Return the error for who asks for one of them."""
        first = _leaf(ask(_FIRST, ()))
        last = None if key is None else _leaf(ask(_LAST_OF_KEY, _place(key)))
        told = _prunings(ask, self.position)
        if not told:
            return ArchivedError(position=self.position, key=key, first=first, last=last)
        # Others may have reset the same cursor to the same position.
        pruning = next((each for each in told if "root" in each.said), told[0])
        return ArchivedError(
            position=self.position,
            key=key,
            file=pruning.said.get("file", ""),
            sha256=pruning.said.get("sha256", ""),
            actor=pruning.actor,
            reason=pruning.reason,
            first=first,
            last=last,
        )


def states_digest(ask: Ask) -> str:
    """Return the SHA-256, in hexadecimal, over where the cursors stood."""
    from hashlib import sha256

    digest = sha256()
    for row in ask(_STATES, ()):
        said = [each.hex() if isinstance(each, bytes) else each for each in row]
        digest.update(f"{dumps(said)}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def check(connection: sqlite3.Connection) -> Iterator[Fault]:
    """Return what is wrong with what is kept of the entries that were archived.

    What an entry says of them is covered by its digest, and by later checkpoints.
    """
    from ledger.evidence.findings import Fault, FaultKind
    from ledger.evidence.merkle import Tree

    rows = connection.cursor()
    rows.row_factory = None

    def ask(statement: str, values: Sequence[object]) -> list[Row]:
        return rows.execute(statement, values).fetchall()

    archived = found(ask)
    if archived is None:
        return
    place = "ledger_archived"
    tree = Tree()
    for position, leaf in rows.execute(
        "SELECT +position, +digest FROM main.ledger_archived ORDER BY position"
    ):
        tree.add(position, leaf)
    told = _prunings(ask, archived.position)
    if not told:
        detail = "no entry says by whom and why entries were pruned, and where they are archived"
        yield Fault(kind=FaultKind.MISSING, place=place, position=archived.position, detail=detail)
        return
    digests = str(tree.entries), tree.checkpoint().root.hex()
    states = states_digest(ask)
    # The one that says the most of what is so; anybody may have reset the same cursor besides.
    by, _, _, said = max(
        told,
        key=lambda each: (
            (each.said.get("entries"), each.said.get("root")) == digests,
            each.said.get("cursors") == states,
        ),
    )
    if (said.get("entries"), said.get("root")) != digests:
        detail = (
            f"its {tree.entries:,} digests are not those of the {said.get('entries', '?')} entries "
            f"that were pruned, as position {by} says"
        )
        yield Fault(kind=FaultKind.EDITED, place=place, position=archived.position, detail=detail)
    if said.get("cursors") != states:
        detail = f"where the cursors stood when entries were pruned is not what position {by} says"
        yield Fault(kind=FaultKind.CURSOR, place="ledger_archived_cursors", detail=detail)
    for (position,) in [*ask(_TIMES, ()), *ask(_LATER, ())]:
        detail = "it was recorded at another time, by where its cursor stood"
        yield Fault(kind=FaultKind.EDITED, place=place, position=position, detail=detail)
    first = ask(_BEFORE, ())
    if first and type(first[0][0]) is int and first[0][0] <= archived.position:
        detail = "it stands among the entries that were archived, and is none of them"
        yield Fault(kind=FaultKind.POSITION, place="the log", position=first[0][0], detail=detail)


class _Pruning(NamedTuple):
    """What an entry says of the entries that were pruned. Anybody who may append can say it."""

    position: int
    actor: str
    reason: str
    said: dict[str, str]
    """Its metadata; empty if that cannot be read."""


def _prunings(ask: Ask, position: int) -> list[_Pruning]:
    """Return what entries say of the pruning up to `position`, by version."""
    rows = ask(_PRUNED, (*_place(_key()), position))
    return [_Pruning(at, actor, reason, _pairs(metadata)) for at, actor, reason, metadata in rows]


def _key() -> CursorKey:
    from ledger.law.cursor import CursorKey

    return CursorKey.kept(ARCHIVE, ARCHIVED_STREAM, "")


def _leaf(rows: Sequence[Row]) -> tuple[int, bytes] | None:
    """Return a number and a digest; None if they are not there, or were edited."""
    match rows:
        case [(int() as number, bytes() as digest)]:
            return number, digest
        case _:
            return None


def _place(key: CursorKey) -> tuple[str, str, str]:
    return key.stream_name, key.subject_id, key.consumer_id


def _pairs(metadata: object) -> dict[str, str]:
    from ledger.errors import InvalidCursorError
    from ledger.log.text import loads

    try:
        said = loads(metadata) if isinstance(metadata, str) else None
    except InvalidCursorError:
        said = None
    return said if isinstance(said, dict) else {}
