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
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from ledger import opening, targets
from ledger.law.queries import CursorQuery

__all__ = ["is_harmless", "names", "prepare"]

# A person has pressed a key and waits.
DEADLINE_S = 1.5
NAMES_MAX = 1_000

# Letters and digits of all scripts, and these other characters. A comma is not one of them, because
# it ends the value in what click's script for fish reads.
_HARMLESS = re.compile(r"[\w./][\w ./:=@%+-]{0,127}")
# Unicode calls them letters, but they are invisible.
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")
# Harmless characters at which bash breaks a word.
_BREAKS_A_WORD = re.compile(r"[ :=@]")


def is_harmless(name: str) -> bool:
    """Say whether `name` may be offered: no shell runs or expands anything in it."""
    return bool(_HARMLESS.fullmatch(name)) and _FILLERS.isdisjoint(name)


def names(path: str, part: str, query: CursorQuery, incomplete: str) -> list[str]:
    """Return the harmless names that begin with `incomplete`; none if the ledger cannot be read.

    The ledger is not made, changed or waited for.
    """
    found: set[str] = set()

    def look() -> None:
        until = time.monotonic() + DEADLINE_S * 0.7
        known = _on_a_server if targets.is_postgres(path) else _in_a_file
        try:
            with closing(known(path, part, query)) as there:
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


def _on_a_server(path: str, part: str, query: CursorQuery) -> Generator[str, None, None]:
    there, _ = opening.postgres().look(path)
    if there:
        with opening.open(path, busy_timeout_s=DEADLINE_S) as book:
            for cursor in book.cursors(query):
                yield getattr(cursor.key, part)


def _in_a_file(path: str, part: str, query: CursorQuery) -> Generator[str, None, None]:
    place = Path(path).absolute()
    if not place.is_file():
        return
    # It exists only while a process has the database open, and SQLite would make it even to read.
    shared = place.with_name(place.name + "-shm").exists()
    uri = place.as_uri() + "?mode=ro" + ("" if shared else "&immutable=1")
    with closing(sqlite3.connect(uri, uri=True, timeout=0.2)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        rows = connection.execute(_NAMES[part], (query.consumer_id, query.stream_name))
        for (name,) in rows:
            yield str(name)


_CHOSEN = "FROM main.ledger_cursors WHERE ?1 IN ('', consumer_id) AND ?2 IN ('', stream_name)"
_NAMES = {
    part: f"SELECT DISTINCT {part} {_CHOSEN}"
    for part in ("consumer_id", "stream_name", "subject_id")
}
