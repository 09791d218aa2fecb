"""What the short form of the campaign shares: one stage, and how a fault is tried by its name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from support.campaign.recording import Stage, impossible, staged
from support.campaign.results import Result
from support.campaign.trials import TRIALS

SEED = 1


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    if why := impossible():
        pytest.skip(why)
    with staged() as stage:
        yield stage


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Callable[[str], Result]:
    """Return what tries a fault of trials.py as often as there is time for, and always alike."""

    def run(name: str) -> Result:
        trial = TRIALS[name]
        if why := trial.impossible():
            pytest.skip(why)
        begun = time.monotonic()
        result = trial.run(request.getfixturevalue("stage"), trial.short, SEED)
        print(f"{name}, seed {SEED}: {result.times} times, {time.monotonic() - begun:.0f} s")
        return result

    return run
