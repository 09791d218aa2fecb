"""The baseline: what somebody would write by hand on `sqlite3`, for the same tables.

The same rows, the same digests, the same durability, in as few statements as do; and none of the
rest: nothing is checked, and no objects are made.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

import ledger

__all__ = ["ACTOR", "Bare", "entry"]

ACTOR = "bench@here"

HEAD = """
SELECT id, last_sequence, version, epoch, digest FROM ledger_cursors
WHERE stream_name = ? AND subject_id = ? AND consumer_id = ?
"""
GET = """
SELECT last_sequence, last_delivery_id, last_delivered_at, last_error, updated_at, version, epoch
FROM ledger_cursors WHERE stream_name = ? AND subject_id = ? AND consumer_id = ?
"""
MAKE_HEAD = """
INSERT INTO ledger_cursors (consumer_id, stream_name, subject_id, last_sequence, last_delivery_id,
    last_delivered_at, last_error, updated_at, version, epoch, recorded_at, digest)
VALUES (?, ?, ?, 0, '', NULL, '', 0, 0, 0, 0, zeroblob(32))
"""
MOVE_HEAD = """
UPDATE ledger_cursors SET last_sequence = ?, last_delivery_id = ?, last_delivered_at = ?,
    last_error = '', updated_at = ?, version = ?, epoch = ?, recorded_at = ?, digest = ?
WHERE id = ?
"""
INSERT = """
INSERT INTO ledger_events (cursor_id, version, epoch, recorded_at, actor, tag_id, previous_sequence,
    sequence, delivery_id, delivered_at, outcome, occurred_at, digest)
VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, 'delivered', ?, ?)
"""
SCAN = "SELECT * FROM ledger_events ORDER BY position"

Key = tuple[str, str, str]


class Bare:
    """One connection, and the statements."""

    def __init__(self, path: Path, durability: str) -> None:
        ledger.open(path).close()  # which makes the tables
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute(f"PRAGMA synchronous = {durability}")

    def advance(self, key: Key, sequence: int, delivery_id: str) -> None:
        consumer_id, stream_name, subject_id = key
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        now = time.time_ns() // 1_000
        head = execute(HEAD, (stream_name, subject_id, consumer_id)).fetchone()
        if head is None:
            execute(MAKE_HEAD, key)
            head = execute(HEAD, (stream_name, subject_id, consumer_id)).fetchone()
        row, digest = entry(key, head, sequence, delivery_id, now)
        cursor_id, _, version, epoch, _ = head
        move = (sequence, delivery_id, now, now, version + 1, epoch, now, digest, cursor_id)
        execute(MOVE_HEAD, move)
        execute(INSERT, row)
        execute("COMMIT")

    def append(self, key: Key, advances: Iterable[tuple[int, str]]) -> None:
        """Append many advances of one cursor in one transaction."""
        consumer_id, stream_name, subject_id = key
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        now = time.time_ns() // 1_000
        head = execute(HEAD, (stream_name, subject_id, consumer_id)).fetchone()
        if head is None:
            execute(MAKE_HEAD, key)
            head = execute(HEAD, (stream_name, subject_id, consumer_id)).fetchone()
        rows = []
        delivery_id = ""
        for sequence, delivery_id in advances:
            row, digest = entry(key, head, sequence, delivery_id, now)
            rows.append(row)
            head = (head[0], sequence, head[2] + 1, head[3], digest)
        cursor_id, sequence, version, epoch, digest = head
        move = (sequence, delivery_id, now, now, version, epoch, now, digest, cursor_id)
        execute(MOVE_HEAD, move)
        self.connection.executemany(INSERT, rows)
        execute("COMMIT")

    def get(self, key: Key) -> tuple[object, ...]:
        consumer_id, stream_name, subject_id = key
        found = self.connection.execute(GET, (stream_name, subject_id, consumer_id)).fetchone()
        return tuple(found)

    def scan(self) -> int:
        """Read every entry, and do nothing with it."""
        rows = 0
        for _ in self.connection.execute(SCAN):
            rows += 1
        return rows

    def close(self) -> None:
        self.connection.close()


def entry(
    key: Key, head: tuple[int, int, int, int, bytes], sequence: int, delivery_id: str, now: int
) -> tuple[tuple[object, ...], bytes]:
    cursor_id, previous, version, epoch, previous_digest = head
    said = [
        "cursor-ledger/1", *key, version + 1, epoch, now, ACTOR, None, "cursor.advanced.v1",
        previous, sequence, delivery_id, now, "delivered", None, None, now,
    ]  # fmt: skip
    text = _ENCODER.encode(said)
    digest = hashlib.sha256(previous_digest + text.encode()).digest()
    row = (
        cursor_id, version + 1, epoch, now, ACTOR, previous, sequence, delivery_id, now, now, digest
    )  # fmt: skip
    return row, digest


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
