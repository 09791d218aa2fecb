"""Names of cursors for a shell that completes a word.

The names were chosen by strangers, and one key puts what is offered into the reader's command line.
Only names of harmless characters are offered. Bash inserts a name as it is, therefore what it would
split is quoted here; zsh and fish quote by themselves.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from ledger import errors, opening, targets
from ledger.law import paths
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.service import Ledger

__all__ = ["actors", "cursors", "is_harmless", "names", "prepare"]

# A person has pressed a key and waits.
DEADLINE_S = 1.5
NAMES_MAX = 1_000
# How many entries are looked at for actors: in a log of millions, all would take too long.
LOOKED_AT_MAX = 10_000

WORD = "word"
"""The names of a cursor as one word."""

# Letters and digits of all scripts, and these other characters. A comma is not one of them, because
# it ends the value in what click's script for fish reads.
_HARMLESS = re.compile(r"[\w./][\w ./:=@%+-]{0,127}")
# Unicode calls them letters, but they are invisible.
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")
# Harmless characters at which bash breaks a word.
_BREAKS_A_WORD = re.compile(r"[ :=@]")


def is_harmless(name: str) -> bool:
    """Return whether `name` may be offered: no shell runs or expands anything in it."""
    return bool(_HARMLESS.fullmatch(name)) and _FILLERS.isdisjoint(name)


def names(path: str, part: str, query: CursorQuery, incomplete: str) -> list[str]:
    """Return the harmless names that begin with `incomplete`; none if the ledger cannot be read.

    The ledger is not made, changed or waited for.
    """
    return _within_the_deadline(path, lambda: _names(path, part, query), incomplete)


def cursors(path: str, incomplete: str) -> list[str]:
    """Return the cursors whose names in one word begin with `incomplete`, in the same way."""
    # Before the first slash, it may be the beginning of many consumers.
    consumer = paths.split(incomplete)[0] if "/" in incomplete else ""
    query = CursorQuery(consumer_id=consumer, reserved=True)
    return _within_the_deadline(path, lambda: _names(path, WORD, query), incomplete)


def actors(path: str, incomplete: str) -> list[str]:
    """Return those who acted in the last entries, in the same way."""

    def acted() -> Generator[str, None, None]:
        if targets.is_postgres(path):
            with closing(_books(path)) as books:
                for book in books:
                    last = EntryQuery(newest_first=True, limit=LOOKED_AT_MAX)
                    yield from (entry.actor for entry in book.entries(last))
        else:
            yield from _selected(path, _ACTORS, (LOOKED_AT_MAX,))

    return _within_the_deadline(path, acted, incomplete)


def _within_the_deadline(
    path: str, known: Callable[[], Generator[str]], incomplete: str
) -> list[str]:
    # Before the server is given a time to answer in, because the import may take longer than that.
    if targets.is_postgres(path):
        with suppress(errors.StorageError):  # Without a driver, no name is known.
            opening.postgres()
    found: set[str] = set()

    def look() -> None:
        until = time.monotonic() + DEADLINE_S * 0.7
        try:
            with closing(known()) as there:
                for name in there:
                    if name.startswith(incomplete) and is_harmless(name):
                        found.add(name)
                    if len(found) >= NAMES_MAX or time.monotonic() > until:
                        break
        except Exception:  # noqa: BLE001, S110 - a message would stand in the middle of a word
            pass

    # In a thread that can be abandoned, because a server or a network share may not answer.
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(DEADLINE_S)
    return sorted(found.copy())


def prepare() -> None:
    """Have click answer bash with words that may be inserted as they are."""
    add_completion_class(_Bash)


class _Bash(BashComplete):
    """Completion for bash."""

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return a line of the reply. The script in the shell removes one backslash of two."""
        value = str(item.value)
        words = os.environ.get("COMP_WORDS", "").split("\n")
        if not words[-1].startswith(("'", '"')):
            value = _BREAKS_A_WORD.sub(r"\\\\\g<0>", value)
        return f"{item.type},{value}"


def _names(path: str, part: str, query: CursorQuery) -> Generator[str, None, None]:
    if targets.is_postgres(path):
        with closing(_books(path)) as books:
            for book in books:
                for cursor in book.cursors(query):
                    yield str(cursor.key) if part == WORD else getattr(cursor.key, part)
    elif part == WORD:
        chosen = (query.consumer_id, query.stream_name)
        yield from _selected(path, _KEYS, chosen, each=paths.joined)
    else:
        yield from _selected(path, _NAMES[part], (query.consumer_id, query.stream_name))


def _books(path: str) -> Generator[Ledger, None, None]:
    """Yield the ledger on a server, if there is one."""
    there, _ = opening.postgres().look(path)
    if there:
        with opening.open(path, busy_timeout_s=DEADLINE_S) as book:
            yield book


def _selected(
    path: str,
    sql: str,
    parameters: tuple[object, ...],
    each: Callable[[tuple[str, ...]], str] = lambda row: str(row[0]),
) -> Generator[str, None, None]:
    """Yield what `sql` selects from a file."""
    place = Path(path).absolute()
    if not place.is_file():
        return
    # It exists only while a process has the database open, and SQLite would make it even to read.
    shared = place.with_name(place.name + "-shm").exists()
    uri = place.as_uri() + "?mode=ro" + ("" if shared else "&immutable=1")
    with closing(sqlite3.connect(uri, uri=True, timeout=0.2)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        for row in connection.execute(sql, parameters):
            yield each(row)


_CHOSEN = "FROM main.ledger_cursors WHERE ? IN ('', consumer_id) AND ? IN ('', stream_name)"
_NAMES = {
    part: f"SELECT DISTINCT {part} {_CHOSEN}"
    for part in ("consumer_id", "stream_name", "subject_id")
}
_KEYS = f"SELECT DISTINCT consumer_id, stream_name, subject_id {_CHOSEN}"
_ACTORS = """
SELECT DISTINCT actor FROM
(SELECT actor FROM main.ledger_events ORDER BY position DESC LIMIT ?)
"""
