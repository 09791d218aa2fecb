"""A delivery in a coroutine before it has begun: to begin, it asks the ledger, which is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Self

from ledger.consuming.delivery import Delivery
from ledger.errors import InvalidCursorError

__all__ = ["Beginning"]


class Beginning:
    """A delivery that begins when it is awaited, or entered with `async with`."""

    def __init__(
        self,
        begin: Callable[[], Awaitable[Delivery]],
        end: Callable[[Delivery, BaseException | None], Awaitable[None]],
    ) -> None:
        self._begin = begin
        self._end = end
        self._delivery: Delivery | None = None

    @property
    def delivery(self) -> Delivery:
        """The delivery, once it has begun.

        Raises InvalidCursorError before that.
        """
        if self._delivery is None:
            raise InvalidCursorError("the delivery has not begun: await it, or enter it.")
        return self._delivery

    def __await__(self) -> Generator[Any, None, Self]:
        return self._begun().__await__()

    async def _begun(self) -> Self:
        if self._delivery is None:
            self._delivery = await self._begin()
        return self

    async def __aenter__(self) -> Delivery:
        await self._begun()
        delivery = self.delivery
        delivery._deliveries.enter(delivery, id(asyncio.current_task()))
        return delivery

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._end(self.delivery, error)
