"""The commands whose screens are golden texts: those that read, and those that write."""

from __future__ import annotations

__all__ = ["COMMANDS", "LONG", "OWNER", "REASON", "WIDTHS", "WRITING"]

WIDTHS = (60, 80, 100, 200)

LONG = "company.fulfilment.shipments.v2"
OWNER = ("warehouse-sync-us-east-1", LONG, "customer-12")
REASON = "the receiver lost two of each; see the ticket, and the long discussion that it has"
COMMANDS = [
    ("list",),
    ("list", "--stream", LONG),
    ("list", "--sort", "moved", "--limit", "5"),
    ("list", "--sort=-sequence,updated", "--limit", "4"),
    ("list", "--columns", "subject,sequence,last_delivery_id,epoch", "--limit", "4"),
    ("list", "--limit", "3", "--tz", "Asia/Tokyo"),
    ("list", "--limit", "3", "--template", "{stream_name:.12} {last_sequence:>12,} {consumer_id}"),
    ("show", *OWNER),
    ("show", "mailer", "order"),
    ("history", *OWNER),
    ("history", "mailer", "orders"),
    ("entries", "--limit", "12"),
    ("entries", "--kind", "error"),
    ("entries", "--since", "90"),
    ("entries", "--columns", "sequnce"),
    ("tail", "--lines", "5"),
    ("resets",),
    ("resets", "--groups"),
    ("resets", "--takeovers"),
    ("gaps",),
    ("repeats",),
    ("stalls", "--after", "30m"),
    ("diff", "40"),
    ("as-of", "40"),
    ("lag",),
    ("lag", "--group"),
    ("heads",),
    ("positions", "list"),
    ("blame", *OWNER, "1.."),
    ("blame", "mailer", "orders", "1000000000.."),
    ("explain", *OWNER, "7"),
    ("explain", *OWNER, "99999999"),
    ("timeline", *OWNER),
    ("status",),
    ("verify",),
    ("checkpoint", "--table"),
    ("reset", "--stream", LONG, "--by", "-2", "--reason", REASON),
    ("reset", *OWNER, "--by", "-2", "--reason", REASON),
    ("reset", *OWNER, "--by", "-2"),
    ("advance", *OWNER, "--to", "7"),
    ("adopt", "adopted.jsonl"),
    ("describe", *OWNER),
    ("events", "orders", "customer-28"),
    ("events", LONG),
    ("verify-proof", "proof", "--vkey", "vkey"),
    ("verify-evidence", "bundle", "--vkey", "vkey"),
    ("verify-evidence", "bundle", "--vkey", "vkey", "--entries"),
]
"""All that print a table or an account, but not what differs from run to run."""

FAILED = (
    "HTTP 503 from https://hooks.example.com/v2/receiver: upstream connect error, reset by peer"
)

WRITING = [
    ("advance", *OWNER, "--to", "46", "--delivery-id", "msg-cbd4d3ed4dec9ef"),
    ("error", *OWNER, "-m", FAILED),
    ("start", "mailer", LONG, "--at", "40", "--reason", REASON),
    ("append", "requests.jsonl"),
    ("heads", LONG, "customer-12", "--to", "100"),
    ("positions", "declare", "orders", "zero-based", "--reason", REASON),
    ("adopt", "adopted.jsonl", "--execute"),
    ("reset", *OWNER, "--to", "41", "--reason", REASON, "--execute", "--yes"),
    ("policy", "set", "require-meta", "ticket", "--reason", REASON),
    ("policy", "list"),
    ("reset", *OWNER, "--to", "3", "--reason", REASON, "--execute", "--yes"),
    ("policy", "drop", "require-meta", "ticket", "--reason", REASON),
    ("reset", *OWNER, "--undo", "--execute", "--yes"),
    ("retention", "keep", "365d", "--reason", REASON),
    ("retention", "hold", "case-7", "--reason", REASON),
    ("retention", "list"),
    ("prune", "bundle", "--vkey", "vkey", "--reason", REASON),
    ("retention", "release", "case-7", "--reason", REASON),
    ("key", "show", "key"),
    ("key", "new", "key"),
    ("proof", "1", "--checkpoint", "note"),
    ("proof", "99", "--checkpoint", "note"),
    ("cosign", "note", "--key", "key", "--vkey", "vkey"),
    ("tiles", "tiles", "--checkpoint", "note"),
    ("evidence", "--checkpoint", "note", "-o", "some"),
    ("archive", "--checkpoint", "note", "--vkey", "vkey", "-o", "archived"),
    ("export", "-o", "log.jsonl"),
    ("import", "log.jsonl", "--db", "imported.db"),
    ("backup", "backup.db"),
    ("copy", "ledger.db", "copied.db"),
    ("restore", "backup.db"),
    ("man", "shw"),
]
"""In this order, because what one of them has written another one reads."""
