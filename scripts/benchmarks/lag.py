"""Measure `projections.lag` over many cursors in a long ledger; `scripts/bench lag` takes minutes.

Two ledgers of as many entries are made: one where 100 consumers read each of 100 streams, which
have long histories, and one where a consumer reads 100 subjects of each, which have short ones.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

import attrs

import ledger
from ledger import AdvanceCursor, CursorKey, Ledger, RecordError, Request
from ledger.law.reserved import HEAD
from projections import lag

__all__ = ["SMOKE", "Shape", "main", "measured", "shapes", "written"]

BATCH = 10_000
GOAL_S = 0.5
FAILING = 0.02
"""The share of cursors that end with errors."""


@attrs.frozen
class Shape:
    """How many cursors and heads a ledger has, and how many entries each of them."""

    name: str
    streams: int
    subjects: int
    consumers: int
    entries_head: int
    entries_cursor: int

    @property
    def cursors(self) -> int:
        return self.streams * max(self.subjects, 1) * self.consumers

    @property
    def entries(self) -> int:
        heads = self.streams * max(self.subjects, 1)
        return heads * self.entries_head + self.cursors * self.entries_cursor


FULL = (
    Shape("100 streams, 100 consumers", 100, 0, 100, 2_000, 80),
    Shape("100 streams of 100 subjects", 100, 100, 1, 50, 50),
)
SMOKE = (Shape("3 streams, 4 consumers", 3, 0, 4, 20, 5), Shape("2 of 3 subjects", 2, 3, 1, 5, 5))


def shapes(*, smoke: bool) -> tuple[Shape, ...]:
    return SMOKE if smoke else FULL


def requests(shape: Shape, rng: random.Random) -> Iterator[Request]:
    """Yield the entries: heads that grow unevenly, and cursors that are behind by all there is."""
    places = [
        (f"stream-{stream:03}", f"subject-{subject:03}" if shape.subjects else "")
        for stream in range(shape.streams)
        for subject in range(max(shape.subjects, 1))
    ]
    top = 20 * shape.entries_head
    for place in places:
        for sequence in sorted(rng.sample(range(1, top), shape.entries_head)):
            yield AdvanceCursor(CursorKey(HEAD, *place), sequence)
    ends = {
        CursorKey(f"consumer-{nth:03}", *place): rng.randrange(top // 3, top)
        for place in places
        for nth in range(shape.consumers)
    }
    for nth in range(1, shape.entries_cursor + 1):
        for key, end in ends.items():
            if nth == shape.entries_cursor and rng.random() < FAILING:
                yield RecordError(key, "HTTP 503")
            else:
                yield AdvanceCursor(key, max(end * nth // shape.entries_cursor, 1))


def written(book: Ledger, shape: Shape) -> None:
    asked = requests(shape, random.Random(16))
    while batch := list(islice(asked, BATCH)):
        book.append(batch)


def measured(work: Callable[[], int], rounds: int) -> tuple[float, float, int]:
    """Return the medians of seconds on the wall and of user time, and what `work` returned."""
    wall, user, result = [], [], work()
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        result = work()
        wall.append(time.perf_counter() - began)
        user.append(time.process_time() - used)
    return statistics.median(wall), statistics.median(user), result


@contextmanager
def schema(url: str, name: str) -> Iterator[str]:
    """Yield the target of a ledger in a schema of its own, which is gone afterwards."""
    import psycopg

    def drop() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())

    drop()
    yield f"{url}{'&' if '?' in url else '?'}schema={name}"
    drop()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench lag", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="only see whether everything runs")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured")
    parser.add_argument(
        "--postgres",
        nargs="?",
        const="",
        metavar="URL",
        help="measure on PostgreSQL instead, on a server of its own if none is named",
    )
    options = parser.parse_args(arguments)
    print(
        f"{'ledger':30} {'cursors':>8} {'entries':>10} {'wall s':>8} {'CPU s':>8}   goal {GOAL_S} s"
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = None
        if options.postgres is not None:
            # Imported here, because the driver is an extra.
            from server import a_server

            url = stack.enter_context(a_server(options.postgres))
        for nth, shape in enumerate(shapes(smoke=options.smoke)):
            target = str(folder / f"{nth}.db")
            if url is not None:
                target = stack.enter_context(schema(url, f"cursor_ledger_lag_{nth}"))
            with ledger.open(target, actor="bench", durability="normal") as book:
                written(book, shape)
                wall, user, rows = measured(lambda: len(list(lag(book))), options.rounds)
            assert rows == shape.cursors
            print(
                f"{shape.name:30} {rows:8,} {shape.entries:10,} {wall:8.3f} {user:8.3f}", flush=True
            )
    return 0
