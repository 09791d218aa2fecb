"""Power cuts: a workload is recorded, and cut at many calls; what may be left is examined."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable
from pathlib import Path

from support.campaign.images import POLICIES, Disk
from support.campaign.promises import Story, examine
from support.campaign.recording import Recording, Stage, fast_folder
from support.campaign.results import Result
from support.campaign.workloads import POWER_CUTS

__all__ = ["cut", "power_cuts"]

# Many threads and processes are acknowledged in another order than they are appended in.
UNORDERED = ("submits", "processes")


def power_cuts(
    stage: Stage,
    durability: str,
    times: int,
    seed: int,
    workloads: Iterable[str] = tuple(POWER_CUTS),
) -> Result:
    """Cut the power about `times` times in all, spread over the workloads."""
    workloads = list(workloads)
    result = Result(f"power cut, {durability} durability", may_lose=durability == "normal")
    for name in workloads:
        recording = stage.record(name, durability=durability)
        if recording.status:
            result.breaks(name, f"ended with status {recording.status}")
        elif differences := recording.differences():
            result.breaks(name, f"the recorder missed something of {', '.join(differences)}")
        else:
            cut(recording, result, name, max(1, times // len(workloads)), seed)
        stage.forget(recording)
    return result


def cut(recording: Recording, result: Result, name: str, times: int, seed: int) -> None:
    """Cut the power after `times` of the recorded calls, and examine what each may leave."""
    chance = random.Random(f"{seed} {name}")
    steps = recording.steps
    places = sorted(chance.randrange(len(steps) + 1) for _ in range(times))
    disk, story, done = Disk(), Story(), 0
    for place in places:
        for step in steps[done:place]:
            if step.kind == "M":
                story.add(step.data.decode())
            else:
                disk.do(step)
        done = place
        policy = chance.choice(POLICIES)
        with tempfile.TemporaryDirectory(prefix="image-", dir=fast_folder()) as folder:
            disk.write(Path(folder), policy, chance)
            findings = examine(
                Path(folder) / recording.database.name, story, in_order=name not in UNORDERED
            )
        result.times += 1
        result.lost += bool(findings.lost)
        if findings.faults or (findings.lost and not result.may_lose):
            result.breaks(f"{name}, seed {seed}, after call {place}, {policy}", findings)
