"""The command that appends a file of requests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

import attrs
import click

from ledger.cli.process.exits import EXIT_NOT_VERIFIED, EXIT_REFUSED
from ledger.cli.process.hosts import command_name
from ledger.cli.process.interrupts import Watch
from ledger.cli.process.streams import flush_output
from ledger.cli.shown.forms import Form, form_options, show
from ledger.cli.shown.layout import Kind
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.sentences import say
from ledger.cli.shown.tables import Column
from ledger.cli.typed.target import Target, pass_target
from ledger.errors import BrokenChainError, InvalidCursorError, LedgerError, StorageError
from ledger.law.requests import Request
from ledger.log.json import structure
from ledger.log.text import loads, visible
from ledger.service import Ledger

__all__ = ["append"]

BATCH_LINES = 500
LINE_BYTES_MAX = 1_048_576


@attrs.frozen
class Refusal:
    """A line that was not appended, and why."""

    line: int
    error: str
    message: str

    @classmethod
    def of(cls, line: int, error: LedgerError) -> Refusal:
        """Return the refusal of a line, which `error` explains."""
        return cls(line, type(error).__name__, str(error))


_REFUSALS = [
    Column("line", lambda refusal: str(refusal.line), kind=Kind.NUMBER),
    Column("error", lambda refusal: refusal.error),
    Column("message", lambda refusal: visible(refusal.message)),
]


@attrs.define
class _Tally:
    """How much of a file is appended: what the user is told, whatever happens."""

    watch: Watch
    appended: int = 0
    refused: int = 0
    damaged: bool = False
    """Whether a line was refused because the ledger is damaged at its cursor."""
    line: int = 0
    """The last line whose outcome is known."""
    _asked: int = 0
    _commits: int = 0

    def ask(self, line: int) -> None:
        """Note that everything up to `line` is about to be appended."""
        self._asked, self._commits = line, self.watch.commits

    def count(self, line: int, *, appended: int, refused: int) -> None:
        """Note the outcome of everything up to `line`."""
        self.appended += appended
        self.refused += refused
        self.line = line

    def account(self, *, listed: bool) -> str:
        """Return how much is appended and how to continue; `listed` if refusals were printed."""
        refused = f", {self.refused:,} refused" if self.refused else ""
        if refused and not listed:
            refused += " (perhaps not all of them are listed)"
        known = f"{self.appended:,} appended{refused} up to line {self.line}; "
        if self._asked <= self.line or not (
            self.watch.unknown or self.watch.commits > self._commits
        ):
            return f"{known}continue with --from-line {self.line + 1}"
        return (
            f"{known}lines {self.line + 1} to {self._asked} may have been appended, too. Compare "
            f"with: {command_name()} entries --newest-first -n {self._asked - self.line}"
        )


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--atomic", is_flag=True, help="Append all lines in one transaction, or none.")
@click.option("--from-line", type=click.IntRange(1), default=1, help="Begin at this line.")
@form_options
@pass_target
@click.pass_context
def append(
    context: click.Context,
    target: Target,
    file: BinaryIO,
    atomic: bool,
    from_line: int,
    form: Form | None,
) -> None:
    """Append requests from FILE, or - for standard input: one JSON object a line.

    \b
    {"op": "advance", "advance": {"key": {"consumer_id": "webhooks",
     "stream_name": "orders"}, "last_sequence": 44, "delivery_id": "msg-44"}}
    {"op": "reset", "reset": {"key": …, "last_sequence": 41, "reason": "…"}}
    {"op": "error", "error": {"key": …, "last_error": "…"}}
    {"op": "confirm", "confirm": {"key": …, "delivery_id": "b7", "after": "a9"}}
    {"op": "start", "start": {"key": …, "last_sequence": 41, "reason": "…"}}

    A refused line is listed, the other lines are appended, and the exit code is 3.
    """
    tally = _Tally(Watch.of(context), line=from_line - 1)
    if not atomic:
        tally.watch.tally = partial(tally.account, listed=False)
    progress = Progress()
    with target.open(make=True) as book:
        lines = _lines(file, from_line)
        try:
            refusals = (
                _atomically(book, lines, tally) if atomic else _each(book, lines, tally, progress)
            )
            show(refusals, _REFUSALS, form, of=[Refusal])
            flush_output()
        except BaseException as error:
            progress.clear()
            if not atomic:
                said = tally.account(listed=not isinstance(error, OSError))
                say(f"stopped: {said}", err=True)
                # Not before: a second Ctrl-C may come while it is said.
                tally.watch.told = True
            raise
    click.echo(f"{tally.appended:,} appended, {tally.refused:,} refused", err=True)
    if tally.refused:
        context.exit(EXIT_NOT_VERIFIED if tally.damaged else EXIT_REFUSED)


def _each(
    book: Ledger,
    lines: Iterator[tuple[int, Request | LedgerError]],
    tally: _Tally,
    progress: Progress,
) -> Iterator[Refusal]:
    """Append line by line, many in a transaction; yield the refusals."""
    batch: list[tuple[int, Request | LedgerError]] = []

    def commit() -> list[Refusal]:
        tally.ask(batch[-1][0])
        results = iter(
            book.append_each([asked for _, asked in batch if not isinstance(asked, LedgerError)])
        )
        refusals = []
        for line, asked in batch:
            result = asked if isinstance(asked, LedgerError) else next(results)
            if isinstance(result, LedgerError):
                tally.damaged |= isinstance(result, BrokenChainError)
                refusals.append(Refusal.of(line, result))
        tally.count(batch[-1][0], appended=len(batch) - len(refusals), refused=len(refusals))
        batch.clear()
        if refusals:
            progress.clear()
        else:
            progress.say(f"{tally.appended:,} appended, up to line {tally.line:,}")
        return refusals

    for numbered in lines:
        batch.append(numbered)
        if len(batch) == BATCH_LINES:
            yield from commit()
            tally.watch.settled()
    if batch:
        yield from commit()
    progress.clear()


def _atomically(
    book: Ledger, lines: Iterator[tuple[int, Request | LedgerError]], tally: _Tally
) -> Iterator[Refusal]:
    """Append all lines, or none of them; yield the refusals."""
    requests: list[Request] = []
    numbers: list[int] = []
    refusals: list[Refusal] = []
    for line, asked in lines:
        if isinstance(asked, LedgerError):
            refusals.append(Refusal.of(line, asked))
        else:
            requests.append(asked)
            numbers.append(line)
    if not refusals:
        try:
            tally.appended = len(book.append(requests))
        except StorageError:
            raise
        except LedgerError as error:
            refused = getattr(error, "request", None)
            at = next((n for n, asked in enumerate(requests) if asked is refused), None)
            if at is None:
                raise  # No line is to blame, for example because the ledger is damaged.
            refusals = [Refusal.of(numbers[at], error)]
    tally.refused = len(refusals)
    yield from refusals


def _lines(file: BinaryIO, from_line: int) -> Iterator[tuple[int, Request | LedgerError]]:
    """Yield (line number, request) of each line that is not blank, or the refusal of the line."""
    number = 0
    while raw := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        whole = len(raw) <= LINE_BYTES_MAX
        while not raw.endswith(b"\n") and (rest := file.readline(LINE_BYTES_MAX)):
            raw = rest
        if number < from_line or (whole and not raw.strip()):
            continue
        if not whole:
            yield number, InvalidCursorError(f"the line is longer than {LINE_BYTES_MAX:,} bytes.")
            continue
        try:
            yield number, structure(loads(raw), Request)
        except LedgerError as error:
            yield number, error
