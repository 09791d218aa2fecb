"""The command `cursor-ledger`: what the ledger does, and what its history is asked."""

from __future__ import annotations

from ledger import cli
from projections.cli import (
    auditing,
    deliveries,
    drawing,
    explaining,
    exporting,
    lagging,
    moments,
    resetting,
    stalling,
    tailing,
)

__all__ = ["main"]

main = cli.program(
    (
        *cli.commands,
        resetting.reset,
        auditing.resets,
        *moments.commands,
        explaining.explain,
        *deliveries.commands,
        lagging.lag,
        stalling.stalls,
        tailing.tail,
        drawing.timeline,
        exporting.export,
    )
)
