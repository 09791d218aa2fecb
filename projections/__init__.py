"""Views of the log: functions that answer questions from its entries.

Nothing in the ledger depends on this package, and nothing here changes the log, except a
`ResetPlan` that is applied and the checkpoint of a `Projector`.

With asyncio, pass an `AsyncLedger` where a function takes a ledger, and what its `history` or
`entries` returns where one takes entries. What was yielded is then a stream, for `async for`; what
was returned is awaited.
"""

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
from projections.resets.views import Direction, RecordedReset, resets
from projections.stalls import Stall, stalls
from projections.streaks import ErrorStreak, error_streaks
from projections.timeline import MarkKind, Point, Timeline, TimelineMark, timeline

__all__ = [
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
    "Projector",
    "Range",
    "RecordedReset",
    "Repeat",
    "ResetGroup",
    "ResetPlan",
    "Stall",
    "Step",
    "Timeline",
    "TimelineMark",
    "Verdict",
    "afollow",
    "as_of",
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
    "repeats",
    "reset_groups",
    "resets",
    "stalls",
    "timeline",
]
