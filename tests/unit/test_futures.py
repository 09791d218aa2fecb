"""The future of a call does what a Future does, and is light until somebody waits for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import random
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from typing import Any

import pytest

from ledger.writing.futures import Submitted

WHOLE = set(vars(Future()))


class Nobody:
    def busy_threads(self) -> set[int]:
        return set()


def new() -> Submitted:
    return Submitted(Nobody())


def is_light(future: Future[Any]) -> bool:
    return not WHOLE & set(vars(future))


def outcome(step: Callable[[Future[Any]], object], future: Future[Any]) -> object:
    try:
        return step(future)
    except BaseException as error:  # noqa: BLE001 - it is compared
        return type(error)


STEPS: dict[str, Callable[[Future[Any]], object]] = {
    "begin": lambda future: future.set_running_or_notify_cancel(),
    "answer": lambda future: future.set_result(7),
    "fail": lambda future: future.set_exception(ZeroDivisionError()),
    "cancel": lambda future: future.cancel(),
    "done": lambda future: future.done(),
    "running": lambda future: future.running(),
    "cancelled": lambda future: future.cancelled(),
    "result": lambda future: future.result(0),
    "exception": lambda future: type(future.exception(0)),
    "callback": lambda future: future.add_done_callback(lambda _: None),
    "wait": lambda future: [len(each) for each in concurrent.futures.wait([future], 0)],
}


# A Future reports as critical that it is begun with twice.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(200))
def test_whatever_is_done_with_it_it_answers_as_a_future_does(seed: int) -> None:
    chance = random.Random(seed)
    ours, plain = new(), Future[Any]()
    for _ in range(8):
        name = chance.choice(list(STEPS))
        assert outcome(STEPS[name], ours) == outcome(STEPS[name], plain), name


def test_it_is_light_as_long_as_it_is_asked_for_what_it_has() -> None:
    future = new()
    assert future.set_running_or_notify_cancel()
    future.set_result(7)
    assert future.done()
    assert (future.result(), future.result(1), future.exception()) == (7, 7, None)
    assert is_light(future)
    assert concurrent.futures.wait([future]).done == {future}
    assert not is_light(future)
    assert future.result() == 7


@pytest.mark.parametrize("begun", [False, True])
def test_every_waiter_is_told(begun: bool) -> None:
    future = new()
    if begun:
        future.set_running_or_notify_cancel()
    heard: list[object] = []
    waiting = [
        threading.Thread(target=lambda: heard.append(future.result())),
        threading.Thread(target=lambda: heard.append(future.exception())),
        threading.Thread(
            target=lambda: heard.extend(
                each.result() for each in concurrent.futures.as_completed([future])
            )
        ),
    ]
    for thread in waiting:
        thread.start()
    future.add_done_callback(lambda done: heard.append(done.result()))
    future.set_result(7)
    for thread in waiting:
        thread.join(20)
    assert sorted(map(str, heard)) == ["7", "7", "7", "None"]


def test_a_coroutine_waits_for_it() -> None:
    async def main() -> object:
        future = new()
        threading.Timer(0.05, lambda: future.set_result(7)).start()
        return await asyncio.wrap_future(future)

    assert asyncio.run(main()) == 7


def test_one_that_is_cancelled_is_not_begun_with() -> None:
    future = new()
    assert future.cancel()
    assert not future.set_running_or_notify_cancel()
    with pytest.raises(CancelledError):
        future.result()


def test_one_that_its_owner_has_answered_is_not_answered_again() -> None:
    future = new()
    future.set_result(7)
    with pytest.raises(InvalidStateError):
        future.set_result(8)
    assert future.result() == 7
    with pytest.raises(RuntimeError):
        future.set_running_or_notify_cancel()


def answered_to_three_threads(future: Submitted) -> list[object]:
    """Answer it while others wait for it in three ways; return what these have heard."""
    together = threading.Barrier(4)
    heard: list[object] = []

    def answer() -> None:
        together.wait()
        if future.set_running_or_notify_cancel():
            future.set_result(7)

    def result() -> None:
        together.wait()
        heard.append(future.result())

    def wait() -> None:
        together.wait()
        heard.extend(each.result() for each in concurrent.futures.wait([future], 20).done)

    def call_back() -> None:
        together.wait()
        future.add_done_callback(lambda done: heard.append(done.result()))

    threads = [threading.Thread(target=work) for work in (answer, result, wait, call_back)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return heard


def test_threads_that_ask_at_the_moment_of_the_answer_all_hear_it() -> None:
    for _ in range(300):
        assert answered_to_three_threads(new()) == [7, 7, 7]
