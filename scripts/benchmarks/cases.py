"""What is measured: the lines of the table, in its order."""

from __future__ import annotations

import statistics
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count, cycle, islice
from pathlib import Path

import attrs
from bare import Bare
from calls import (
    KEY,
    Durability,
    advancing,
    advancing_bare,
    consuming,
    getting,
    open_often,
    opened,
    submitting,
)
from hostile import slowest_seconds
from measure import Result, compared, quartiles
from peer import Peer
from processes import grow, import_ms, memory_mb

import ledger
import projections
from ledger import AdvanceCursor, CursorKey, Ledger
from ledger.law import rules

__all__ = ["Sizes", "all_cases"]

BATCH = 1_000


@attrs.frozen(kw_only=True)
class Sizes:
    """How much of everything: a full run takes ten minutes, a quick one less than one."""

    rounds: int
    calls: int
    """Calls in a row, of each side, in each round."""
    threads_calls: int
    log: int
    """Entries of the log that is replayed."""
    short: int
    long: int
    """Entries of the logs between which the cost of an append is compared."""
    window_s: float
    """How long many processes write to one file."""


def all_cases(sizes: Sizes) -> Iterator[Callable[[], list[Result]]]:
    """Return the cases; each has a folder of its own, which goes when it is done."""
    for case in (
        advances,
        consumers,
        threads,
        batches,
        gets,
        replays,
        lengths,
        footprints,
        masking,
        peers,
    ):
        yield lambda case=case: _run(case, sizes)  # type: ignore[misc]


def _run(case: Callable[[Path, Sizes], Iterator[Result]], sizes: Sizes) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="cursor-ledger-bench-") as folder:
        return list(case(Path(folder), sizes))


# --- writing ---


def advances(folder: Path, sizes: Sizes) -> Iterator[Result]:
    goals: dict[Durability, float] = {"full": 0.90, "normal": 0.80}
    for durability, goal in goals.items():
        with ExitStack() as stack:
            book = stack.enter_context(opened(folder / f"{durability}.db", durability))
            path = folder / f"{durability}-bare.db"
            bare = stack.enter_context(closing(Bare(path, durability)))
            yield compared(
                f"advance, one caller, {durability} durability",
                ours=advancing(book, sizes.calls),
                baseline=advancing_bare(bare, sizes.calls),
                against="bare sqlite3",
                goal=goal,
                rounds=sizes.rounds,
            )


def consumers(folder: Path, sizes: Sizes) -> Iterator[Result]:
    """A consumer, against the bare advances of a loop that could undo a reset."""
    for in_flight, goal in ((1, 0.70), (10, 1.0)):
        with (
            opened(folder / f"consumer-{in_flight}.db", "full") as book,
            opened(folder / f"advance-{in_flight}.db", "full") as bare,
            book.consumer(KEY, in_flight=in_flight) as consumer,
        ):
            yield compared(
                f"Consumer, {in_flight} in flight",
                ours=consuming(consumer, sizes.calls),
                baseline=advancing(bare, sizes.calls),
                against="advance, one caller",
                goal=goal,
                rounds=sizes.rounds,
            )


def threads(folder: Path, sizes: Sizes) -> Iterator[Result]:
    with opened(folder / "many.db", "full") as many, opened(folder / "one.db", "full") as one:
        sequences = [count(1) for _ in range(64)]

        def run() -> int:
            workers = [
                threading.Thread(target=consume, args=(nth,)) for nth in range(len(sequences))
            ]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            return len(workers) * sizes.threads_calls

        def consume(nth: int) -> None:
            key = CursorKey(f"consumer-{nth}", "orders")
            for to in islice(sequences[nth], sizes.threads_calls):
                many.advance(key, to=to, delivery_id=f"msg-{to}")

        yield compared(
            "64 threads, full durability",
            ours=run,
            baseline=advancing(one, sizes.calls),
            against="one caller",
            goal=3,
            rounds=sizes.rounds,
        )


def batches(folder: Path, sizes: Sizes) -> Iterator[Result]:
    loops = max(1, sizes.calls // 100)
    with ExitStack() as stack:
        book = stack.enter_context(opened(folder / "ours.db", "full"))
        piped = stack.enter_context(opened(folder / "piped.db", "full"))
        bare = stack.enter_context(closing(Bare(folder / "bare.db", "full")))
        appended, written = count(1), count(1)

        def append() -> int:
            for _ in range(loops):
                book.append(
                    [
                        AdvanceCursor(KEY, to, delivery_id=f"msg-{to}")
                        for to in islice(appended, BATCH)
                    ]
                )
            return loops * BATCH

        def write() -> int:
            for _ in range(loops):
                bare.append(
                    (KEY.consumer_id, KEY.stream_name, KEY.subject_id),
                    [(to, f"msg-{to}") for to in islice(written, BATCH)],
                )
            return loops * BATCH

        submit = submitting(piped, loops * BATCH)
        for work, ours in (("append of 1,000", append), ("submit, pipelined", submit)):
            yield compared(
                work,
                ours=ours,
                baseline=write,
                against="bare executemany of 1,000",
                goal=0.50,
                rounds=sizes.rounds,
            )


# --- reading ---


def gets(folder: Path, sizes: Sizes) -> Iterator[Result]:
    path = folder / "cursors.db"
    with opened(path, "full") as book:
        book.append([AdvanceCursor(CursorKey(f"consumer-{n}", "orders"), 1) for n in range(1_000)])
        keys = cycle(CursorKey(f"consumer-{n}", "orders") for n in range(1_000))
        with closing(Bare(path, "full")) as bare:

            def get() -> int:
                for key in islice(keys, sizes.calls * 5):
                    book.get(key)
                return sizes.calls * 5

            def select() -> int:
                for key in islice(keys, sizes.calls * 5):
                    bare.get((key.consumer_id, key.stream_name, key.subject_id))
                return sizes.calls * 5

            yield compared(
                "get",
                ours=get,
                baseline=select,
                against="bare SELECT",
                goal=0.60,
                rounds=sizes.rounds,
            )


def replays(folder: Path, sizes: Sizes) -> Iterator[Result]:
    path = folder / "log.db"
    grow(path, sizes.log, cursors=50)
    with opened(path, "full") as book, closing(Bare(path, "full")) as bare:

        def replay() -> int:
            cursors: dict[CursorKey, ledger.Cursor] = {}
            entries = 0
            for entry in book.entries():
                cursors[entry.key] = rules.replay(cursors.get(entry.key), entry)
                entries += 1
            return entries

        def verify() -> int:
            return book.verify().entries

        def verify_together() -> int:
            return book.verify(processes=2).entries

        works = (
            ("replay into cursors", replay, 0.35),
            ("verify: replay, digests", verify, 0.20),
            ("verify in two processes", verify_together, 0.24),
        )
        for work, ours, goal in works:
            yield compared(
                work,
                ours=ours,
                baseline=bare.scan,
                against="bare scan",
                goal=goal,
                rounds=max(1, sizes.rounds // 3),
            )


# --- long logs, and what it all takes ---


def lengths(folder: Path, sizes: Sizes) -> Iterator[Result]:
    short, long = folder / "short.db", folder / "long.db"
    for path, entries in ((short, sizes.short), (long, sizes.long)):
        grow(path, entries, cursors=1_000)
        with opened(path, "full") as book:
            for nth in range(100):
                key = CursorKey(f"consumer-{nth}", "orders")
                book.reset(key, to=0, reason="to be delivered again", actor="ines")
    with opened(short, "full") as small, opened(long, "full") as large:
        size = f"{sizes.long:,} entries"

        def against(
            work: str, run: Callable[[Ledger], Callable[[], int]], goal: float | None = None
        ) -> Result:
            return compared(
                f"{work} at {size}, in time",
                ours=run(large),
                baseline=run(small),
                against=f"at {sizes.short:,}",
                goal=1.25 if goal is None else goal,
                rounds=sizes.rounds,
                slower=True,
            )

        yield against("append", lambda book: advancing(book, sizes.calls, cursors=1_000))
        yield against("get", lambda book: getting(book, sizes.calls))
        yield against("resets", lambda book: lambda: len(list(projections.resets(book))))
        paths = {small: short, large: long}
        yield against("open", lambda book: lambda: open_often(paths[book]))

        megabytes = memory_mb(long, min(sizes.long, 1_000_000))
        yield _single(
            f"memory, replaying {min(sizes.long, 1_000_000):,} entries", [megabytes], "MB", 30
        )


def footprints(folder: Path, sizes: Sizes) -> Iterator[Result]:
    path = folder / "log.db"
    grow(path, sizes.log, cursors=50)
    yield _single(f"file ÷ {sizes.log:,} entries", [path.stat().st_size / sizes.log], "bytes", 150)
    yield _single("import ledger", [import_ms() for _ in range(2 * sizes.rounds + 1)], "ms", 100)


def masking(folder: Path, sizes: Sizes) -> Iterator[Result]:
    texts = {1: 50, 3: 300}.get(sizes.rounds, 10_000)
    yield _single("mask 1 MB, the slowest text", [slowest_seconds(texts) * 1_000], "ms", 20)


def peers(folder: Path, sizes: Sizes) -> Iterator[Result]:
    history = 1_000
    with ExitStack() as stack:
        book = stack.enter_context(opened(folder / "ours.db", "full"))
        peer = stack.enter_context(closing(Peer(folder / "peer.db")))
        saved, cursor = count(1), peer.start()
        read, aged = count(1), peer.start()
        for to in islice(read, history):
            peer.advance(aged, to, f"msg-{to}")
        few = max(5, sizes.calls // 50)

        def save() -> int:
            for to in islice(saved, sizes.calls):
                peer.advance(cursor, to, f"msg-{to}")
            return sizes.calls

        def get_and_save() -> int:
            for to in islice(read, few):
                peer.get_and_advance(aged.id, to, f"msg-{to}")
            return few

        advance = advancing(book, sizes.calls)
        old = CursorKey("old", "orders")
        book.append([AdvanceCursor(old, to) for to in range(1, history + 1)])
        gone = count(history + 1)

        def get_and_advance() -> int:
            for to in islice(gone, sizes.calls):
                book.advance(old, to=to, epoch=book.get(old).epoch, delivery_id=f"msg-{to}")
            return sizes.calls

        package = "eventsourcing's save"
        for work, ours, baseline, named, goal in (
            ("advance, one by one", advance, save, package, 1),
            ("submit, pipelined", submitting(book, sizes.calls), save, package, 5),
            (
                f"get + advance, {history:,} entries",
                get_and_advance,
                get_and_save,
                "eventsourcing's get + save",
                20,
            ),
        ):
            yield compared(
                work,
                ours=ours,
                baseline=baseline,
                against=named,
                goal=goal,
                rounds=sizes.rounds,
            )


def _single(work: str, values: list[float], unit: str, goal: float) -> Result:
    low, median, high = quartiles(values)
    return Result(
        work=work,
        measured=median if len(values) > 1 else statistics.mean(values),
        low=low,
        high=high,
        unit=unit,
        goal=goal,
        at_least=False,
        rounds=len(values),
    )
