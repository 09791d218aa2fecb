"""How a ledger for asyncio is opened: `async with ledger.aio.open(…) as book`, or await it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Future
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec

from ledger import opening
from ledger.aio.futures import in_own_thread
from ledger.aio.ledger import AsyncLedger
from ledger.service import Ledger

__all__ = ["open"]

P = ParamSpec("P")


class _Opening:
    """Opens the ledger when it is awaited or entered."""

    def __init__(self, opened: Callable[[], Ledger]) -> None:
        self._opened = opened
        self._ledger: AsyncLedger | None = None

    async def _open(self) -> AsyncLedger:
        ledger = in_own_thread(self._opened)
        try:
            self._ledger = AsyncLedger(await asyncio.wrap_future(ledger))
        except asyncio.CancelledError:
            ledger.add_done_callback(_close_unwanted)
            raise
        return self._ledger

    def __await__(self) -> Generator[Any, None, AsyncLedger]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncLedger:
        return await self._open()

    async def __aexit__(self, *_: object) -> None:
        if self._ledger is not None:
            await self._ledger.close()

    if not TYPE_CHECKING:  # Type checkers know that it has none of these.

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(
                f"this ledger is not open yet, so it has no {name!r}. Await it, `book = await "
                "ledger.aio.open(…)`, or enter it: `async with ledger.aio.open(…) as book`."
            )


def _close_unwanted(ledger: Future[Ledger]) -> None:
    if not ledger.cancelled() and ledger.exception() is None:
        ledger.result().close()


def _opening(opened: Callable[P, Ledger]) -> Callable[P, _Opening]:
    @wraps(opened)
    def opening(*args: P.args, **kwargs: P.kwargs) -> _Opening:
        return _Opening(partial(opened, *args, **kwargs))

    return opening


open = _opening(opening.open)  # noqa: A001 - ledger.aio.open(…) is how it reads
"""Open a ledger, as `ledger.open` does: `async with ledger.aio.open(…) as book`, or await it.

`target`, `actor`, `clock`, `durability`, `busy_timeout_s`, `require_epoch` and `schema` are those
of `ledger.open`, and so is what it raises. An `AsyncEngine` to PostgreSQL or an
`AsyncConnectionPool` is refused, because the ledger commits in a thread: open it by the URL or by
an `Engine` beside yours, and lend it your sessions.

>>> import asyncio, ledger.aio
>>> async def main() -> int:
...     async with ledger.aio.open(":memory:", actor="dispatcher@web-1") as book:
...         cursor = await book.advance(ledger.CursorKey("webhooks", "orders"), to=41)
...     return cursor.last_sequence
>>> asyncio.run(main())
41
"""
