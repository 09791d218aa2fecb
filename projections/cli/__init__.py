"""The command `cursor-ledger`: what the ledger does, and what its history is asked."""

from __future__ import annotations

from ledger import cli
from ledger.cli.listing import Listed, Section

__all__ = ["main"]

LOOK, ASK, MOVE, _ = Section

# One command a line.
# fmt: off
_QUESTIONS = {
    "who is behind, and how far": "list --sort behind",
    "who is stuck, since when": "stalls --ongoing",
    "what is the matter with one": "describe webhooks orders",
    "what the last hour changed": "diff 1h",
    "why 1234 did not arrive": "explain webhooks orders 1234",
    "who reset what, and why": "resets --since 12h",
    "how to take a reset back": "reset webhooks orders --undo",
}

main = cli.program((
    Listed(LOOK, "list", "projections.cli.listing:list_cursors", "List the cursors, and how they do: how far behind, since when they stand still, how failing."),
    Listed(LOOK, "describe", "projections.cli.describing:describe", "Describe one cursor: how it does, what happened to it of late, and what to ask next."),
    Listed(LOOK, "watch", "projections.cli.watching:watch", "Show cursors, and then a line for each that changes, until it is interrupted."),
    Listed(LOOK, "events", "projections.cli.events:events", "Show what happened on one stream, in order: which consumer passed what, and when."),
    Listed(LOOK, "tail", "projections.cli.tailing:tail", "Show the last entries of the log that match every option, and with -f each new one."),
    *cli.COMMANDS,
    Listed(ASK, "explain", "projections.cli.explaining:explain", "Tell whether one sequence was delivered at one cursor, and the whole story of it."),
    Listed(ASK, "blame", "projections.cli.blaming:blame", "Tell which entry passed each sequence from A to B last, who appended it, and the outcome."),
    Listed(ASK, "gaps", "projections.cli.deliveries:gaps", "Show what advances jumped over, and no later advance has delivered."),
    Listed(ASK, "repeats", "projections.cli.deliveries:repeats", "Show what was passed more than once, and after which reset."),
    Listed(ASK, "lag", "projections.cli.lagging:lag", "Show how far each cursor is behind the head of its stream, and since when."),
    Listed(ASK, "stalls", "projections.cli.stalling:stalls", "Show cursors that stood still while others of their stream advanced, or kept failing."),
    Listed(ASK, "resets", "projections.cli.resets.auditing:resets", "Show who reset which cursor, when, from where to where, why, and with what result."),
    Listed(ASK, "as-of", "projections.cli.moments:as_of", "Show where cursors stood at MOMENT: one that is named, those that are chosen, or all."),
    Listed(ASK, "diff", "projections.cli.moments:show_diff", "Show what changed between two moments, cursor by cursor."),
    Listed(ASK, "timeline", "projections.cli.drawing:timeline", "Draw the sequences of one cursor over time, with resets, errors, repeats and jumps."),
    Listed(MOVE, "reset", "projections.cli.resets.resetting:reset", "Plan to reset cursors, forward or back; with --execute, reset them."),
), _QUESTIONS)
# fmt: on
