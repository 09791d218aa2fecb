"""Processes that are killed or stopped at any moment."""

from __future__ import annotations

import random
from typing import Any

from support.campaign.promises import Story, examine
from support.campaign.recording import Stage
from support.campaign.results import Result

__all__ = ["killed", "killed_in_creation", "stopped"]


def killed(stage: Stage, times: int, seed: int) -> Result:
    """Kill one of three processes, or all of them, each with 8 threads."""
    result = Result("kill -9 under load, 8 threads in each of 3 processes")
    chance = random.Random(seed)
    for n in range(times):
        delay_s = 0.05 + chance.random() * 0.3
        _try(stage, result, "killed", delay_s=delay_s, processes=3, all_die=bool(n % 2))
    return result


def killed_in_creation(stage: Stage, times: int) -> Result:
    """Sweep the moment at which a process that makes a ledger is killed, from begin to end."""
    result = Result("kill -9 while a ledger is made")
    for n in range(times):
        _try(stage, result, "killed_in_creation", share=1.2 * n / times)
    return result


def stopped(stage: Stage, times: int, seed: int) -> Result:
    """Stop a process wherever it is, let another one write, let the first go on."""
    result = Result("SIGSTOP, others write, SIGCONT")
    chance = random.Random(seed)
    for _ in range(times):
        _try(stage, result, "stopped", delay_s=0.005 + chance.random() * 0.05, stop_s=0.3)
    return result


def _try(stage: Stage, result: Result, workload: str, **options: Any) -> None:
    recording = stage.record(workload, only_marks=True, **options)
    result.times += 1
    if recording.status:
        result.breaks(f"{options}", f"ended with status {recording.status}")
    findings = examine(recording.database, Story.of(recording.marks()))
    result.lost += bool(findings.lost)
    if findings.broken:
        result.breaks(f"{options}", findings)
    stage.forget(recording)
