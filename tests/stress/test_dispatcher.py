"""A dispatcher that is killed and reset while it delivers over HTTP; the receiver's log tells."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from support.dispatching.trial import Plan, Trial

STORES = "every"
WAYS = ["threads", "asyncio"]

SHORT = Plan(events=300, subjects=2, kills=1, resets=3, answers_within_s=0.06, seed=16)
LONG = Plan(events=5_000, subjects=20, kills=10, resets=5, answers_within_s=0.1, seed=16)


@pytest.mark.slow("a dispatcher is killed and reset while it delivers")
def test_a_dispatcher_that_is_killed_and_reset_delivers_everything_and_the_ledger_knows(
    kind: str, target: str, tmp_path: Path
) -> None:
    """The short form takes a few seconds, so each store has one of the two ways."""
    way = "threads" if kind == "sqlite" else "asyncio"
    came = Trial(SHORT, way, target, tmp_path).run()
    assert Counter(each.answer for each in came)["503"] > SHORT.events / 30


@pytest.mark.slow("5,000 events, ten kills, five resets")
@pytest.mark.parametrize("way", WAYS)
def test_a_dispatcher_of_twenty_keys_delivers_everything_and_the_ledger_knows(
    way: str, target: str, tmp_path: Path
) -> None:
    came = Trial(LONG, way, target, tmp_path).run()
    answers = Counter(each.answer for each in came)
    assert answers["503"] > LONG.events / 20
    assert answers["late"] > LONG.events / 300
    again = Counter((each.epoch, each.sequence) for each in came if each.answer == "204")
    assert max(again.values()) > 1, "the kills cut off what was in flight"
