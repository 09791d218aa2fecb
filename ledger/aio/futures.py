"""Futures of threads, and how a coroutine awaits them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TypeVar

from ledger.errors import StorageError
from ledger.writing.futures import bearable
from ledger.writing.group_commit import Writer
from ledger.writing.waits import refuse_circle

__all__ = ["answer", "in_own_thread", "no_thread", "settled"]

R = TypeVar("R")


async def settled(future: Future[R], give_up: Callable[[], None] | None = None) -> R:
    """Return the answer; if this is cancelled too late to withdraw the call, wait for its end.

    `give_up` is called before that, to have it end soon.
    """
    if isinstance(writer := getattr(future, "writer", None), Writer) and not future.done():
        refuse_circle(writer)
    answered = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(answered)
    except asyncio.CancelledError:
        if not future.cancel():
            if give_up is not None:
                give_up()
            # Some frameworks cancel a task again and again until it has ended.
            while not answered.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([answered])
            if not answered.cancelled():
                answered.exception()  # Marks it as retrieved: nobody else will ask for it.
        raise


def answer(future: Future[R], work: Callable[[], R]) -> None:
    """Run `work`, unless `future` was cancelled, and answer `future` with what comes of it."""
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where the answer is asked for
            future.set_exception(_bearable(error))


def _bearable(error: BaseException) -> BaseException:
    """Return `error`, or what a future can bear in its place; that of a coroutine is cancelled."""
    if isinstance(error, asyncio.CancelledError):
        stands = RuntimeError("the work in a thread was cancelled, but not what awaits it.")
        stands.__cause__ = error
        return stands
    return bearable(error)


def in_own_thread(work: Callable[[], R]) -> Future[R]:
    """Run `work` in a thread of its own.

    Raises StorageError if no thread can be started.
    """
    future: Future[R] = Future()
    try:
        Thread(target=answer, args=(future, work), name="cursor-ledger asyncio").start()
    except RuntimeError as error:
        raise no_thread(error) from error
    return future


def no_thread(error: RuntimeError) -> StorageError:
    """Return the error that says that no thread could be started."""
    return StorageError(f"No thread could be started: {error}. Nothing was done; try again.")
