"""Examples in the help of commands. A test runs each of them against a ledger."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["EXAMPLES"]

EXAMPLES: Mapping[str, str] = {
    "list": """
        # Who is behind, the furthest first; who is stuck, since when; by sequence.
        cursor-ledger list --sort behind
        cursor-ledger list --state stalled --state failing --state behind --wide
        cursor-ledger list --stream orders --sort -sequence
    """,
    "watch": """
        # Each change of one cursor; of all cursors of a stream.
        cursor-ledger watch webhooks/orders/customer-7
        cursor-ledger watch --stream orders
    """,
    "describe": """
        # All that matters of one cursor; the same as JSON.
        cursor-ledger describe webhooks/orders/customer-7
        cursor-ledger describe webhooks orders customer-7 --json
    """,
    "events": """
        # What one consumer did in the last hours; who passed 43 of one subject.
        cursor-ledger events orders --consumer webhooks --since 3h
        cursor-ledger events orders customer-7 --sequence 43
    """,
    "tail": """
        # The last entries; each new one of a consumer, until Ctrl-C.
        cursor-ledger tail -n 20
        cursor-ledger tail -f --consumer webhooks
    """,
    "explain": """
        # Was 43 delivered, when, how often, and by which entry?
        cursor-ledger explain webhooks/orders/customer-7 43
        cursor-ledger explain webhooks orders customer-7 43 --json
    """,
    "blame": """
        # Which entry passed 41 to 44, and who appended it; everything from 41 on.
        cursor-ledger blame webhooks/orders/customer-7 41..44
        cursor-ledger blame webhooks/orders/customer-7 41..
    """,
    "gaps": """
        # What one cursor jumped over; all cursors of a stream without holes.
        cursor-ledger gaps webhooks/orders/customer-7
        cursor-ledger gaps --stream orders --dense
    """,
    "repeats": """
        # What was delivered twice, and after which reset.
        cursor-ledger repeats webhooks/orders/customer-7
        cursor-ledger repeats --consumer webhooks
    """,
    "lag": """
        # Who is behind; for a monitor, exit code 6 if anybody is too far behind.
        cursor-ledger lag --state behind --state stalled
        cursor-ledger lag --max-behind 1000
    """,
    "stalls": """
        # Who stands still now; who stood still for an hour.
        cursor-ledger stalls --ongoing
        cursor-ledger stalls --stream orders --after 1h
    """,
    "resets": """
        # Who reset what in the last week; all resets, with their tickets.
        cursor-ledger resets --since 7d
        cursor-ledger resets --columns recorded,actor,cursor,metadata.ticket --csv
        # All of this year, for an auditor: what has no ticket is named first.
        cursor-ledger resets --report resets.csv --since 2026-01-01
    """,
    "as-of": """
        # Where the cursors of a consumer stood at midnight; one, ten minutes ago.
        cursor-ledger as-of today --consumer webhooks
        cursor-ledger as-of 10m webhooks/orders/customer-7
    """,
    "diff": """
        # What has changed in the last hour; between two positions of the log.
        cursor-ledger diff 1h
        cursor-ledger diff 1 5 --consumer webhooks
    """,
    "timeline": """
        # The life of one cursor on the terminal; its last hours; a page with zoom.
        cursor-ledger timeline webhooks/orders/customer-7
        cursor-ledger timeline webhooks/orders/customer-7 --since 3h
        cursor-ledger timeline webhooks/orders/customer-7 -o life.html
    """,
    "reset": """
        # Plan to deliver from 42 on again; plan to undo the last reset; undo it.
        cursor-ledger reset webhooks/orders/customer-7 --to 41 --reason 'lost 42'
        cursor-ledger reset webhooks/orders/customer-7 --undo
        cursor-ledger reset webhooks/orders/customer-7 --undo --execute --yes
    """,
}
