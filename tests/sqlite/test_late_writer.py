"""The queue of a ledger is made by its first append; until then, nothing of it is there."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ledger
from ledger import AdvanceCursor, StorageError
from ledger.writing.committer import Appender
from ledger.writing.late import LateAppender
from support.cursors import ORDERS


class Noting:
    """An appender that notes what it was asked."""

    def __init__(self) -> None:
        self.appended: list[Any] = []
        self.is_closed = False

    def append(self, groups: Any, conclude: Callable[[Any], Any]) -> Any:
        self.appended.append(groups)
        return conclude([])

    submit = append

    def run(self, work: Callable[[Any], Any]) -> Any:
        return work(None)

    def close(self) -> None:
        self.is_closed = True


def late(make: Callable[[], Noting]) -> LateAppender:
    return LateAppender(make)  # type: ignore[arg-type]


def test_it_is_made_once_and_closed() -> None:
    made: list[Noting] = []

    def make() -> Noting:
        made.append(Noting())
        return made[-1]

    appender = late(make)
    assert made == []
    appender.append((), len)
    appender.run(lambda _: None)
    appender.append((), len)
    [one] = made
    assert len(one.appended) == 2
    appender.close()
    assert one.is_closed


def test_threads_that_append_first_share_one() -> None:
    both = threading.Barrier(2, timeout=30)
    made: list[Noting] = []

    def make() -> Noting:
        both.wait()  # Both threads are making one.
        made.append(Noting())
        return made[-1]

    appender = late(make)
    threads = [threading.Thread(target=lambda: appender.append((), len)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(len(one.appended) for one in made) == [0, 2]


def test_a_signal_handler_that_appends_while_it_is_made_uses_the_same() -> None:
    made: list[Noting] = []

    def make() -> Noting:
        one = Noting()
        made.append(one)
        if len(made) == 1:
            appender.append((), len)
        return one

    appender = late(make)
    appender.append((), len)
    assert sorted(len(one.appended) for one in made) == [0, 2]


def test_what_is_closed_first_is_never_made_and_accepts_nothing() -> None:
    appender = late(lambda: pytest.fail("it was made"))
    appender.close()
    appender.close()
    calls: list[Callable[[Appender], object]] = [
        lambda each: each.append((), len),
        lambda each: each.submit((), len),
        lambda each: each.run(lambda _: None),
    ]
    for call in calls:
        with pytest.raises(StorageError, match="closed; open it again"):
            call(appender)


def test_a_ledger_that_was_only_read_is_closed_to_appends(tmp_path: Path) -> None:
    with ledger.open(tmp_path / "cursors.db") as book:
        assert book.find(ORDERS) is None
    with pytest.raises(StorageError, match="This ledger is closed; open it again"):
        book.advance(ORDERS, to=1)
    with pytest.raises(StorageError, match="This ledger is closed; open it again"):
        book.submit(AdvanceCursor(ORDERS, 1))


def test_a_child_makes_none_of_what_its_parent_has_opened(tmp_path: Path) -> None:
    with ledger.open(tmp_path / "cursors.db") as book:
        heard, said = os.pipe()
        child = os.fork()
        if child == 0:
            answers = []
            for append in (
                lambda: book.advance(ORDERS, to=1),
                lambda: book.submit(AdvanceCursor(ORDERS, 1)),
            ):
                try:
                    append()
                except StorageError as error:
                    answers.append(str(error))
            book.close()
            os.write(said, "\n".join(answers).encode())
            os._exit(0)
        os.close(said)
        with os.fdopen(heard) as answer:
            refusals = answer.read().splitlines()
        os.waitpid(child, 0)
        assert [each.partition(";")[0] for each in refusals] == [
            "This ledger was opened before this process was forked"
        ] * 2
        # It is still the parent's.
        assert book.advance(ORDERS, to=1).version == 1
