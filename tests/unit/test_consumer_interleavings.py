"""Any interleaving of begin, end, fail, give up, reset and crash loses no event below the mark."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import ledger
from ledger import CursorKey
from support.depth import thorough

KEY = CursorKey("mailer", "orders")
STREAM = [2, 3, 7, 8, 9, 20, 21, 22, 40]
"""The sequences of a stream may have holes."""


class Interleavings(RuleBasedStateMachine):
    """One consumer with four deliveries in flight, and somebody who resets its cursor."""

    @initialize()
    def open(self) -> None:
        self.book = ledger.open(":memory:", actor="worker")
        # What happened to each event in the current epoch; a reset begins a new account.
        self.done: set[int] = set()
        self.delivered_below: Counter[int] = Counter()
        self.start()

    def start(self) -> None:
        self.consumer = self.book.consumer(KEY, in_flight=4)
        self.running: dict[int, ledger.Delivery] = {}
        self.epoch = self.consumer.epoch
        self.stale = False

    def teardown(self) -> None:
        self.book.close()

    @property
    def mark(self) -> int:
        cursor = self.book.find(KEY)
        return cursor.last_sequence if cursor else 0

    @rule()
    def begin_the_next(self) -> None:
        after = [each for each in STREAM if each > self.consumer.reached]
        if not after:
            return
        if self.stale:
            with pytest.raises(ledger.StaleEpochError):
                self.consumer.delivering(after[0])
            return
        try:
            self.running[after[0]] = self.consumer.delivering(after[0], timeout_s=0)
        except ledger.WindowFullError:
            assert len(self.running) + len(self.consumer.failed) >= 1
        else:
            assert after[0] > self.mark, "what is confirmed is not delivered again"

    @precondition(lambda self: self.running and not self.stale)
    @rule(earlier=st.integers(1, 40))
    def begin_out_of_order(self, earlier: int) -> None:
        """What comes before one that began would be passed without being delivered."""
        if earlier < max(self.running) and earlier not in self.consumer.failed:
            with pytest.raises((ledger.InvalidCursorError, ledger.NonMonotonicCursorError)):
                self.consumer.delivering(earlier, timeout_s=0)

    @rule(chosen=st.integers(0, 3))
    def begin_a_failed_one_again(self, chosen: int) -> None:
        failed = self.consumer.failed
        if not failed or self.stale:
            return
        sequence = failed[chosen % len(failed)]
        self.running[sequence] = self.consumer.delivering(sequence, timeout_s=0)
        assert self.running[sequence].tries > 1

    @precondition(lambda self: self.running)
    @rule(chosen=st.integers(0, 3), fails=st.booleans())
    def end(self, chosen: int, *, fails: bool) -> None:
        sequence = sorted(self.running)[chosen % len(self.running)]
        delivery = self.running.pop(sequence)
        if self.stale:
            # Above the mark a reset may go unnoticed; if it is noticed, nothing is delivered.
            with suppress(ledger.StaleEpochError, ConnectionError), delivery:
                if fails:
                    raise ConnectionError("503")
        elif fails:
            with pytest.raises(ConnectionError), delivery:
                raise ConnectionError("503")
        else:
            with delivery:
                pass
            self.done.add(sequence)

    @rule(chosen=st.integers(0, 3))
    def give_up_a_failed_one(self, chosen: int) -> None:
        failed = self.consumer.failed
        if not failed or self.stale:
            return
        sequence = failed[chosen % len(failed)]
        self.consumer.give_up(sequence, reason="dead letter")
        self.done.add(sequence)

    @rule(to=st.sampled_from([0, *STREAM]))
    def reset_by_somebody_else(self, to: int) -> None:
        self.book.reset(KEY, to=to, reason="deliver again", actor="ines")
        self.stale = True
        self.done = {each for each in STREAM if each <= to}

    @precondition(lambda self: self.stale)
    @rule()
    def refresh(self) -> None:
        cursor = self.consumer.refresh()
        assert cursor is not None
        assert (self.consumer.position, self.consumer.epoch) == (cursor.last_sequence, cursor.epoch)
        self.forget_what_runs()
        self.stale = False

    @rule()
    def crash(self) -> None:
        """Nothing of the process is left; what was above the mark comes again."""
        self.done = {each for each in self.done if each <= self.mark}
        self.start()

    def forget_what_runs(self) -> None:
        """Those that still run end in StaleEpochError, and confirm nothing."""
        for delivery in self.running.values():
            with pytest.raises(ledger.StaleEpochError), delivery:
                pass
        self.running = {}

    @invariant()
    def nothing_below_the_mark_is_unconfirmed(self) -> None:
        if hasattr(self, "book"):
            mark = self.mark
            missing = [each for each in STREAM if each <= mark and each not in self.done]
            assert not missing, f"the cursor is at {mark}, and {missing} were never confirmed"

    @invariant()
    def the_log_is_sound(self) -> None:
        if hasattr(self, "book"):
            assert self.book.verify().ok


Interleavings.TestCase.settings = settings(
    max_examples=thorough(60, 8), stateful_step_count=30, deadline=None
)
TestInterleavings = Interleavings.TestCase
