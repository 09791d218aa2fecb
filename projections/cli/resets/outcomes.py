"""How it is said what a reset did, and what became of it."""

from __future__ import annotations

from ledger.law.policies import policy_of
from ledger.law.reserved import RULES
from ledger.log.text import show_time, visible
from projections.resets.views import Direction, RecordedReset

__all__ = ["effect_of", "result_of"]


def effect_of(reset: RecordedReset) -> str:
    """Return what a reset did to its cursor."""
    if policy_of(reset.key) is not None:
        return "policy set" if reset.sequence else "policy DROPPED"
    if reset.delivered_again is not None:
        return f"{len(reset.delivered_again):,} to deliver again"
    return f"{len(reset.passed_over):,} skipped" if reset.passed_over is not None else "none"


def result_of(reset: RecordedReset) -> str:
    """Return what became of a reset; empty where nothing has to follow."""
    if reset.undone_at is not None:
        return f"undone by {visible(reset.undone_by)}, {show_time(reset.undone_at)}"
    if reset.direction is not Direction.BACK or reset.key.consumer_id in RULES:
        return ""
    return f"caught up {show_time(reset.back_at)}" if reset.back_at else "not caught up yet"
