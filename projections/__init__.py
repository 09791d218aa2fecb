"""Views of the log: functions that answer questions from its entries.

Nothing in the ledger depends on this package, and nothing here changes the log, except a
`ResetPlan` that is applied and the checkpoint of a `Projector`.

With asyncio, pass an `AsyncLedger` where a function takes a ledger, and what its `history` or
`entries` returns where one takes entries. What was yielded is then a stream, for `async for`; what
was returned is awaited.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from projections.blaming import Blame, blame
    from projections.changes import Change, diff
    from projections.charts import ChartLibraryMissingError, draw, draw_on_terminal
    from projections.cursors import Moment, as_of, cursors_as_of
    from projections.explanation import Explanation, How, Step, Verdict, explain
    from projections.following import afollow, follow
    from projections.gaps import Gap, gaps
    from projections.lag import Lag, LagState, lag
    from projections.lag_sums import GroupLag, group_lag
    from projections.projector import Projector
    from projections.ranges import Range
    from projections.repeats import Repeat, repeats
    from projections.resets.grouped import ResetGroup, reset_groups
    from projections.resets.missing import LeftOut, Missing
    from projections.resets.plans import ImpossiblePlanError, PlannedReset, ResetPlan
    from projections.resets.policies import PolicyHistory, policy_changes
    from projections.resets.reports import ReportedReset, ResetReport, report_resets
    from projections.resets.seals import Signatures
    from projections.resets.signed import ResetSignature, reset_signature
    from projections.resets.views import Direction, RecordedReset, resets
    from projections.stalls import Stall, stalls
    from projections.streaks import ErrorStreak, error_streaks
    from projections.timeline import MarkKind, Point, Timeline, TimelineMark, timeline

__all__ = [
    "Blame",
    "Change",
    "ChartLibraryMissingError",
    "Direction",
    "ErrorStreak",
    "Explanation",
    "Gap",
    "GroupLag",
    "How",
    "ImpossiblePlanError",
    "Lag",
    "LagState",
    "LeftOut",
    "MarkKind",
    "Missing",
    "Moment",
    "PlannedReset",
    "Point",
    "PolicyHistory",
    "Projector",
    "Range",
    "RecordedReset",
    "Repeat",
    "ReportedReset",
    "ResetGroup",
    "ResetPlan",
    "ResetReport",
    "ResetSignature",
    "Signatures",
    "Stall",
    "Step",
    "Timeline",
    "TimelineMark",
    "Verdict",
    "afollow",
    "as_of",
    "blame",
    "cursors_as_of",
    "diff",
    "draw",
    "draw_on_terminal",
    "error_streaks",
    "explain",
    "follow",
    "gaps",
    "group_lag",
    "lag",
    "policy_changes",
    "repeats",
    "report_resets",
    "reset_groups",
    "reset_signature",
    "resets",
    "stalls",
    "timeline",
]

# Each is imported when it is first used, because a program needs but a few of them.
_NAMES = {
    "projections.blaming": "Blame blame",
    "projections.changes": "Change diff",
    "projections.charts": "ChartLibraryMissingError draw draw_on_terminal",
    "projections.cursors": "Moment as_of cursors_as_of",
    "projections.explanation": "Explanation How Step Verdict explain",
    "projections.following": "afollow follow",
    "projections.gaps": "Gap gaps",
    "projections.lag": "Lag LagState lag",
    "projections.lag_sums": "GroupLag group_lag",
    "projections.projector": "Projector",
    "projections.ranges": "Range",
    "projections.repeats": "Repeat repeats",
    "projections.resets.grouped": "ResetGroup reset_groups",
    "projections.resets.missing": "LeftOut Missing",
    "projections.resets.plans": "ImpossiblePlanError PlannedReset ResetPlan",
    "projections.resets.policies": "PolicyHistory policy_changes",
    "projections.resets.reports": "ReportedReset ResetReport report_resets",
    "projections.resets.seals": "Signatures",
    "projections.resets.signed": "ResetSignature reset_signature",
    "projections.resets.views": "Direction RecordedReset resets",
    "projections.stalls": "Stall stalls",
    "projections.streaks": "ErrorStreak error_streaks",
    "projections.timeline": "MarkKind Point Timeline TimelineMark timeline",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value: object = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # Python sets a module that it imports here; `projections.lag` is the function all the same.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
