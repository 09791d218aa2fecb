"""The campaign: every fault by its name, what is promised under it, and how often it is tried."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from support.campaign import beneath, clocks, connections
from support.campaign.call_faults import cases, full_disk, may_mount, strike
from support.campaign.folders import unsynced_folder
from support.campaign.kills import killed, killed_in_creation, stopped
from support.campaign.power_cuts import power_cuts
from support.campaign.recording import Stage, fast_folder, impossible
from support.campaign.results import Result
from support.campaign.server_kills import killed_servers
from support.campaign.snapshots import held_snapshot
from support.servers import server

__all__ = ["TRIALS", "Trial"]

CUTS_A_CASE = 5


@attrs.frozen
class Trial:
    """One fault; `short` and `long` are how often it is tried in the suite, and by command."""

    run: Callable[[Stage, int, int], Result]
    short: int
    long: int
    impossible: Callable[[], str] = impossible


def failing_calls(stage: Stage, times: int, seed: int) -> Result:
    return _struck(stage, times, seed, comes_back=False)


def failing_log_syncs(stage: Stage, times: int, seed: int) -> Result:
    return _struck(stage, times, seed, comes_back=True)


def _struck(stage: Stage, times: int, seed: int, *, comes_back: bool) -> Result:
    """Strike every case at so many places; past the first of them, cut the power afterwards too."""
    what = "fsync of the write-ahead log" if comes_back else "call"
    result = Result(f"a {what} that fails")
    for case in cases(tuple(range(1, times + 1))):
        if case.comes_back == comes_back:
            strike(stage, case, result, cuts=CUTS_A_CASE * (times > 1), seed=seed)
    return result


def full(stage: Stage, times: int, _: int) -> Result:
    with tempfile.TemporaryDirectory(prefix="full-") as folder:
        return full_disk(stage, Path(folder) / "disk", times)


def snapshot(_: Stage, seconds: int, __: int) -> Result:
    with tempfile.TemporaryDirectory(prefix="snapshot-", dir=fast_folder()) as folder:
        return held_snapshot(Path(folder), seconds)


def clock(_: Stage, times: int, seed: int) -> Result:
    with tempfile.TemporaryDirectory(prefix="clock-") as folder:
        return clocks.strange_clocks(Path(folder) / "cursors.db", clocks.SINCE_1970, times, seed)


def clock_before_1970(_: Stage, times: int, seed: int) -> Result:
    with tempfile.TemporaryDirectory(prefix="clock-") as folder:
        years = clocks.BEFORE_1970 + clocks.SINCE_1970
        return clocks.strange_clocks(Path(folder) / "cursors.db", years, times, seed)


def _beneath(ways: Mapping[str, Callable[[Path], None]]) -> Callable[[Stage, int, int], Result]:
    def run(_: Stage, times: int, __: int) -> Result:
        with tempfile.TemporaryDirectory(prefix="beneath-") as folder:
            return beneath.beneath(Path(folder), ways, times)

    return run


def _hurt(calls: dict[str, connections.Call]) -> Callable[[Stage, int, int], Result]:
    return lambda _, times, seed: connections.hurt_connections(
        server("postgres"), calls, times, seed
    )


def nothing() -> str:
    return ""


TRIALS = {
    "power-full": Trial(lambda stage, n, seed: power_cuts(stage, "full", n, seed), 330, 6_000),
    "power-normal": Trial(lambda stage, n, seed: power_cuts(stage, "normal", n, seed), 150, 2_000),
    "power-folder": Trial(unsynced_folder, 60, 600),
    "calls": Trial(failing_calls, 1, 6),
    "calls-log-sync": Trial(failing_log_syncs, 1, 6),
    "full-disk": Trial(full, 2, 60, lambda: impossible() or may_mount()),
    "kill": Trial(killed, 6, 150),
    "kill-creation": Trial(lambda stage, n, _: killed_in_creation(stage, n), 40, 1_000),
    "stop": Trial(stopped, 5, 100),
    "postgres-bytes": Trial(_hurt(connections.CALLS), 5, 120, nothing),
    "postgres-looks": Trial(_hurt(connections.LOOKS), 2, 120, nothing),
    "postgres-copy": Trial(_hurt(connections.COPIED), 12, 120, nothing),
    "postgres-refused": Trial(_hurt(connections.REFUSED), 3, 120, nothing),
    "postgres-kill": Trial(lambda _, n, seed: killed_servers(n, seed), 3, 60, nothing),
    "snapshot": Trial(snapshot, 2, 40, nothing),
    "clocks": Trial(clock, 20, 500, nothing),
    "clocks-1969": Trial(clock_before_1970, 20, 500, nothing),
    "removed": Trial(_beneath(beneath.GONE), 2, 50, nothing),
    "cut-short": Trial(_beneath(beneath.CUT_SHORT), 3, 50, nothing),
    "permissions": Trial(_beneath(beneath.STAYS), 3, 50, nothing),
}
