"""Connections to PostgreSQL that are hurt at every byte of what a call says and is answered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs
import psycopg

import ledger
from ledger import (
    AdvanceCursor,
    CursorKey,
    Ledger,
    LedgerError,
    NonMonotonicCursorError,
    UnknownOutcomeError,
)
from support.campaign.proxy import Direction, Proxy, Wound, proxied
from support.campaign.results import Result
from support.servers import drop, fresh_schema, with_schema

__all__ = ["CALLS", "COPIED", "LOOKS", "REFUSED", "hurt_connections"]

HOWS = ("cut", "reset", "half-closed", "delayed")
DIRECTIONS: tuple[Direction, ...] = ("to the server", "to the client")
BUSY_TIMEOUT_S = 5.0
# A call may be given its time once more when it has lost its connection; longer is a hang.
HANG_S = 3 * BUSY_TIMEOUT_S

LAST = 40

Told = Literal["acknowledged", "raised", "unknown"]


@attrs.define
class Field:
    """A ledger behind a proxy, and what it was asked for there."""

    proxy: Proxy
    url: str
    near: str
    schema: str
    book: Ledger
    judge: Ledger
    told: dict[str, Told] = attrs.field(factory=dict)
    count: int = 0

    def tokens(self, number: int) -> list[str]:
        self.count += 1
        return [f"{self.count}-{n}" for n in range(number)]

    def requests(self, key: CursorKey, tokens: list[str]) -> list[AdvanceCursor]:
        first = self.count * 1_000
        return [
            AdvanceCursor(key, first + n, metadata={"token": token})
            for n, token in enumerate(tokens)
        ]


Call = Callable[[Field], tuple[list[str], Callable[[], object]]]
"""Prepare a call whose connection is unhurt; give its tokens, and what makes it."""


def advance(field: Field) -> tuple[list[str], Callable[[], object]]:
    tokens = field.tokens(1)
    [request] = field.requests(KEY, tokens)
    return tokens, lambda: field.book.advance(
        request.key, to=request.last_sequence, metadata=dict(request.metadata)
    )


def advance_new(field: Field) -> tuple[list[str], Callable[[], object]]:
    tokens = field.tokens(1)
    key = CursorKey("new", "stream", tokens[0])
    return tokens, lambda: field.book.append(field.requests(key, tokens))


def append(field: Field) -> tuple[list[str], Callable[[], object]]:
    tokens = field.tokens(5)
    return tokens, lambda: field.book.append(field.requests(KEY, tokens))


def append_large(field: Field) -> tuple[list[str], Callable[[], object]]:
    tokens = field.tokens(40)
    return tokens, lambda: field.book.append(field.requests(KEY, tokens))


def submit(field: Field) -> tuple[list[str], Callable[[], object]]:
    tokens = field.tokens(1)
    [request] = field.requests(KEY, tokens)
    return tokens, lambda: field.book.submit(request).result()


def using(field: Field) -> tuple[list[str], Callable[[], object]]:
    tokens = field.tokens(2)
    connection = psycopg.connect(field.near)

    def work() -> None:
        try:
            borrowed = field.book.using(connection)
            for request in field.requests(KEY, tokens):
                borrowed.append([request])
            try:
                connection.commit()
            except psycopg.Error as error:
                raise UnknownOutcomeError("of the caller's own COMMIT") from error
        finally:
            connection.close()

    return tokens, work


def refused(field: Field) -> tuple[list[str], Callable[[], object]]:
    """Ask for what the law refuses: a transaction that stores nothing, and commits."""
    tokens = field.tokens(1)

    def work() -> None:
        [answer] = field.book.append_each([AdvanceCursor(KEY, 1, metadata={"token": tokens[0]})])
        assert isinstance(answer, NonMonotonicCursorError)
        raise answer

    return tokens, work


def reading(field: Field) -> tuple[list[str], Callable[[], object]]:
    """Read all there is: what is given is whole, or an error."""
    version = field.judge.get(KEY).version

    def work() -> None:
        assert len(list(field.book.history(KEY))) == version, "a part of the history"
        assert field.book.verify().ok, "a part of the log"

    return [], work


def opening(field: Field) -> tuple[list[str], Callable[[], object]]:
    """Open what is there."""

    def work() -> None:
        with ledger.open(with_schema(field.near, field.schema), busy_timeout_s=BUSY_TIMEOUT_S) as b:
            b.get(KEY)

    return [], work


def making(field: Field) -> tuple[list[str], Callable[[], object]]:
    """Make a new ledger; and if that fails, see that it can be made at the next attempt."""
    schema = fresh_schema()

    def work() -> None:
        options = {"actor": "campaign", "busy_timeout_s": BUSY_TIMEOUT_S}
        near, url = (with_schema(each, schema) for each in (field.near, field.url))
        try:
            ledger.open(near, **options).close()  # type: ignore[arg-type]
        finally:
            try:
                with ledger.open(url, **options) as book:  # type: ignore[arg-type]
                    assert book.advance(KEY, to=1).version == 1
                    assert book.verify().ok
            finally:
                drop(field.url, schema)

    return [], work


KEY = CursorKey("consumer", "stream")
CALLS: dict[str, Call] = {
    "advance": advance,
    "advance of a new cursor": advance_new,
    "append of 5": append,
    "submit": submit,
    "using": using,
}
LOOKS: dict[str, Call] = {"reading": reading, "opening": opening, "making": making}
COPIED: dict[str, Call] = {"append of 40": append_large}
REFUSED: dict[str, Call] = {"refused": refused}


def hurt_connections(url: str, calls: dict[str, Call], positions: int, seed: int) -> Result:
    """Hurt each call at about so many positions in each direction."""
    result = Result(f"connection hurt at a byte: {', '.join(calls)}")
    longest_s = 0.0
    with field_of(url) as field:
        for name, call in calls.items():
            hows = cycle(HOWS[seed % len(HOWS) :] + HOWS[: seed % len(HOWS)])
            for direction, after in _places(field, call, positions, seed):
                how: Any = next(hows)
                field.book.get(KEY)  # What was hurt before is made good.
                tokens, work = call(field)
                field.proxy.arm(Wound(direction, after, how))
                begun = time.monotonic()
                told = _told(work)
                longest_s = max(longest_s, duration_s := time.monotonic() - begun)
                result.times += field.proxy.struck
                field.proxy.arm(None)
                place = f"{name}, {how} after {after} bytes {direction}, seed {seed}"
                if isinstance(told, BaseException):
                    result.breaks(place, f"ended in {told!r}")
                    told = "raised"
                if duration_s > HANG_S:
                    result.breaks(place, f"took {duration_s:.1f} s")
                field.told |= dict.fromkeys(tokens, told)
        _judge(field, result)
    result.note = f"longest {longest_s:.1f} s"
    return result


def _told(work: Callable[[], object]) -> Told | BaseException:
    try:
        work()
    except UnknownOutcomeError:
        return "unknown"
    except LedgerError:
        return "raised"
    except Exception as error:  # noqa: BLE001 - any other one breaks a promise
        return error
    return "acknowledged"


def _places(field: Field, call: Call, positions: int, seed: int) -> Iterator[tuple[Direction, int]]:
    """Make the call unhurt, and give places in what it says, and in what it is answered."""
    for _ in range(2):  # The first one prepares statements.
        field.book.get(KEY)
        tokens, work = call(field)
        field.proxy.arm(None)
        told = _told(work)
        assert isinstance(told, str), told
        field.told |= dict.fromkeys(tokens, told)
    for direction, length in dict(field.proxy.passed).items():
        every = max(1, length // positions)
        yield from ((direction, after) for after in range(seed % every, length, every))
        if direction == "to the client":  # There the answer to the COMMIT is.
            yield from ((direction, after) for after in range(max(0, length - LAST), length, 4))


def _judge(field: Field, result: Result) -> None:
    """Look, by another connection, for everything that was asked."""
    there = Counter(entry.metadata.get("token", "") for entry in field.judge.entries())
    for token, told in field.told.items():
        if there[token] > 1:
            result.breaks(token, f"is there {there[token]} times")
        if told == "acknowledged" and not there[token]:
            result.lost += 1
            result.breaks(token, "was acknowledged, and is not there")
        if told == "raised" and there[token]:
            result.breaks(token, "raised, and is there all the same")
    calls: dict[str, set[bool]] = {}
    for token in field.told:
        calls.setdefault(token.split("-")[0], set()).add(there[token] > 0)
    for number, found in calls.items():
        if len(found) > 1:
            result.breaks(number, "half of it is there")
    for fault in field.judge.verify().faults[:5]:
        result.breaks("verify", fault)


@contextmanager
def field_of(url: str) -> Iterator[Field]:
    parts = urlsplit(url)
    schema = fresh_schema()
    assert parts.hostname
    with proxied(parts.hostname, parts.port or 5432) as proxy:
        user = f"{parts.username}@" if parts.username else ""
        near = parts._replace(netloc=f"{user}127.0.0.1:{proxy.port}").geturl()
        options = {"actor": "campaign", "busy_timeout_s": BUSY_TIMEOUT_S}
        with (
            ledger.open(with_schema(url, schema), **options) as judge,  # type: ignore[arg-type]
            ledger.open(with_schema(near, schema), **options) as book,  # type: ignore[arg-type]
        ):
            book.advance(KEY, to=2)
            yield Field(proxy, url, near, schema, book, judge)
    drop(url, schema)
