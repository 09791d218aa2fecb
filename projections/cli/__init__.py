"""The command `cursor-ledger`: what the ledger does, and what its history is asked."""

from __future__ import annotations

from ledger import cli
from projections.cli import auditing, debugging, resetting, watching

__all__ = ["main"]

main = cli.program(
    (
        *cli.commands,
        resetting.reset,
        *auditing.commands,
        *debugging.commands,
        *watching.commands,
    )
)
