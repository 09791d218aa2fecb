"""Processes that check a log together with this one, each over a connection of its own.

They are started as new interpreters and not forked, because a fork of a process with threads or
open connections is not safe; nor by multiprocessing, which would import the caller's program anew.
They end when this process closes its pipes, in whichever way it ends. If one of them fails, what
they have found is dropped and this process checks the log alone, so the result never depends on
them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait

import attrs

from ledger import notices
from ledger.evidence.chains import CheckedChains, check_chains
from ledger.evidence.faults import FAULTS_MAX, Faults
from ledger.evidence.sharing import Opening
from ledger.evidence.source import Ids, Log

__all__ = ["NO_MORE", "RANGES_MAX", "Bound", "Checked", "Crew", "hired", "ranges_between", "taken"]

START_S_MAX = 10.0
"""An interpreter that takes longer than this to start is not waited for."""

BEGIN_S_MAX = 1.0
"""A store may keep writers waiting until all have begun to read: some milliseconds, at most this.
"""

RANGES_MAX = 250
"""At most so many ranges of cursors, because the number of a range is written as one byte."""

NO_MORE = 255
"""Each process reads this after the last range. The end of the pipe is no sign of it: a process
that the caller forks meanwhile keeps the pipe open.
"""

LISTEN_S = 0.2

# It runs isolated, so that nothing is imported from the current folder; the path comes by the pipe.
_PROGRAM = """
import sys
from multiprocessing.connection import Connection
orders = Connection(int(sys.argv[1]), writable=False)
sys.path[:] = orders.recv()
from ledger.evidence.worker import work
work(orders, Connection(int(sys.argv[2]), readable=False), int(sys.argv[3]))
"""


@attrs.frozen
class Checked:
    """What a process has found in one range of cursors."""

    nth: int
    chains: CheckedChains


@attrs.define
class Bound:
    """Bounds the faults that one process lists in all its ranges, which it takes in order.

    What is past the bound there is past the bound of the whole report as well.
    """

    left: int = FAULTS_MAX

    def cut(self, chains: CheckedChains) -> CheckedChains:
        """Return `chains` with no more faults listed than are left."""
        listed = chains.faults.listed
        del listed[self.left :]
        self.left -= len(listed)
        return chains


class UnreliableError(Exception):
    """A process has failed, or cannot be understood. It is caught within this module."""


@attrs.define
class _Worker:
    process: subprocess.Popen[bytes]
    orders: Connection
    answers: Connection
    entries: int = 0
    done: bool = False

    def order(self, what: object) -> None:
        try:
            self.orders.send(what)
        except OSError as error:
            raise UnreliableError(str(error)) from error

    def answer(self) -> object:
        try:
            return self.answers.recv()
        except (EOFError, OSError) as error:
            raise UnreliableError("a process has ended early") from error

    def expect(self, word: str, until: float) -> None:
        if not self.answers.poll(max(0, until - time.monotonic())):
            raise UnreliableError(f"a process was not {word} in time")
        if (said := self.answer()) != word:
            raise UnreliableError(str(said))


class Crew:
    """Processes that were started for one check; none, where this process makes it alone."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._ranges: Sequence[Ids] = ()
        self._results: dict[int, CheckedChains] = {}
        # The numbers of the ranges that nobody has taken. A process with nothing to do reads one.
        # Files, because each closes its descriptor once, whatever a signal handler raises: a number
        # that is closed twice may be that of another thread's file by then.
        take, fill = os.pipe()
        self._take, self._fill = os.fdopen(take, "rb", 0), os.fdopen(fill, "wb", 0)

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._workers)

    # --- before the check ---

    def start(self, opening: Opening, processes: int) -> None:
        """Start `processes`, and wait until they have opened the log."""
        until = time.monotonic() + START_S_MAX
        try:
            for _ in range(processes):
                self._workers.append(_started(self._take.fileno()))
            for worker in self._workers:
                worker.order(sys.path)
                worker.order(opening)
            for worker in self._workers:
                worker.expect("ready", until)
        except (UnreliableError, OSError, subprocess.SubprocessError) as error:
            self.send_home(str(error))

    def begin(self, snapshot: str = "") -> None:
        """Let all begin to read, as of `snapshot` or of now; return when all have."""
        until = time.monotonic() + BEGIN_S_MAX
        try:
            for worker in self._workers:
                worker.order(snapshot)
            for worker in self._workers:
                worker.expect("begun", until)
        except UnreliableError as error:
            self.send_home(str(error))

    def share_out(self, ranges: Sequence[Ids]) -> None:
        """Let all begin to check `ranges`, in order: whoever has done one takes the next."""
        self._ranges = ranges
        ends = [NO_MORE] * (1 + len(self._workers))
        with self._fill as fill:
            fill.write(bytes([*range(len(ranges)), *ends]))
        try:
            for worker in self._workers:
                worker.order(ranges)
        except UnreliableError as error:
            self.send_home(str(error))

    # --- the check ---

    def check_chains(
        self, log: Log, progress: Callable[[int], None] | None = None
    ) -> CheckedChains | None:
        """Check the chains together with this process; None if that cannot be relied on."""

        def tell(entries: int) -> None:
            self._listen(0)
            if progress is not None:
                progress(entries + sum(worker.entries for worker in self._workers))

        try:
            entries, bound = 0, Bound()
            while self._workers and (nth := taken(self._take.fileno())) != NO_MORE:
                chains = check_chains(log, self._ranges[nth], before=entries, progress=tell)
                entries += chains.entries
                self._results[nth] = bound.cut(chains)
            while not all(worker.done for worker in self._workers):
                self._listen(LISTEN_S)
                tell(entries)
        except UnreliableError as error:
            self.send_home(str(error))
        if not self._workers:
            return None
        return _joined([self._results[nth] for nth in range(len(self._ranges))])

    def _listen(self, timeout_s: float) -> None:
        """Take in what the others say; wait for the first word if there is none yet."""
        wait([worker.answers for worker in self._workers if not worker.done], timeout_s)
        for worker in self._workers:
            ended = worker.process.poll() is not None
            while not worker.done and worker.answers.poll():
                match worker.answer():
                    case Checked() as checked:
                        self._results[checked.nth] = checked.chains
                    case int() as entries:
                        worker.entries = entries
                    case None:
                        worker.done = True
                    case failure:
                        raise UnreliableError(str(failure))
            if ended and not worker.done:
                raise UnreliableError("a process has ended early")

    # --- the end ---

    def send_home(self, why: str) -> None:
        """Do without them, because of `why`."""
        notices.VERIFIED_ALONE.report(cause=why)
        self._end()

    def close(self) -> None:
        """End all processes, and wait until they have ended."""
        self._end()
        self._take.close()
        self._fill.close()

    def _end(self) -> None:
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.orders.close()
            worker.answers.close()
        for worker in workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(LISTEN_S)
            worker.process.kill()
            worker.process.wait()


@contextmanager
def hired(opening: Opening | None, processes: int) -> Iterator[Crew]:
    """Start so many others that there are `processes`, and end them after the check.

    Without `opening`, none is started.
    """
    crew = Crew()
    try:
        if opening is not None and sys.executable:
            crew.start(opening, processes - 1)
        yield crew
    finally:
        crew.close()


def taken(tickets: int) -> int:
    """Take the number of a range that nobody has taken; NO_MORE if there is none."""
    ticket = os.read(tickets, 1)
    return ticket[0] if ticket else NO_MORE


def ranges_between(cuts: Sequence[int]) -> Sequence[Ids]:
    """Return the ranges of ids into which `cuts`, in ascending order, divide all of them."""
    return [Ids(*pair) for pair in zip((None, *cuts), (*cuts, None), strict=True)]


def _started(tickets: int) -> _Worker:
    theirs, orders = _pipe()
    answers, answering = _pipe()
    with theirs, answering:
        passed = (theirs.fileno(), answering.fileno(), tickets)
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and our own program
            [
                sys.executable,
                "-I",
                f"-Xutf8={sys.flags.utf8_mode}",
                "-c",
                _PROGRAM,
                *map(str, passed),
            ],
            pass_fds=passed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    return _Worker(process, orders, answers)


def _pipe() -> tuple[Connection, Connection]:
    reading, writing = os.pipe()
    return Connection(reading, writable=False), Connection(writing, readable=False)


def _joined(parts: Sequence[CheckedChains]) -> CheckedChains:
    """Return what was found in all ranges, in the order in which one process finds it."""
    faults = Faults()
    for part in parts:
        faults.take(part.faults)
    return CheckedChains(
        entries=sum(part.entries for part in parts),
        cursors=sum(part.cursors for part in parts),
        faults=faults,
        whole=all(part.whole for part in parts),
    )
