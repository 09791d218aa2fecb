"""The folder's sync: it fails, or cannot be tried, and then the power is cut."""

from __future__ import annotations

from support.campaign.call_faults import ALWAYS, Case, strike
from support.campaign.recording import Stage
from support.campaign.results import Result

__all__ = ["unsynced_folder"]


def unsynced_folder(stage: Stage, times: int, seed: int) -> Result:
    """Make ledgers whose folder cannot be synced, or not even opened, and cut the power."""
    result = Result("power cut after the folder could not be synced")
    for kind, action in (("D", "EIO"), ("O", "EACCES")):
        case = Case(kind, ".", 1, ALWAYS, action, before_opening=True)
        strike(stage, case, result, cuts=times // 2, seed=seed)
    return result
