"""Those who wait for one ledger: who is told, and who has left."""

from __future__ import annotations

from ledger import CursorKey
from ledger.waking.waiters import Waiter, Waiters

KEY = CursorKey("webhooks", "orders")


def test_a_waiter_that_comes_again_is_told_although_it_has_left_before() -> None:
    for waiter in (Waiter(), Waiter(key=KEY)):
        waiters = Waiters()
        waiters.add(waiter)
        waiter.has_left = True
        waiters.remove(waiter)
        waiters.add(waiter)
        waiters.remove_left()
        assert len(waiters) == 1
        assert not waiters.only_for_resets


def test_a_waiter_that_an_interrupt_kept_from_being_removed_goes_with_the_next_look() -> None:
    waiters = Waiters()
    stays = Waiter(key=KEY)
    left = [Waiter(), Waiter(key=KEY), Waiter(key=KEY, epoch=1)]
    for waiter in (stays, *left):
        waiters.add(waiter)
    for waiter in left:
        waiter.has_left = True
    waiters.remove_left()
    assert (len(waiters), waiters.for_the_log) == (1, False)
    stays.has_left = True
    waiters.remove_left()
    assert not waiters
    assert waiters.only_for_resets
