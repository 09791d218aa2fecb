"""Examples in the help of commands. A test runs each of them against a ledger."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["EXAMPLES"]

EXAMPLES: Mapping[str, str] = {
    "show": """
        # One cursor, named as it is printed; or by its names.
        cursor-ledger show webhooks/orders/customer-7
        cursor-ledger show webhooks orders customer-7 --json
    """,
    "history": """
        # The last entries of one cursor; all since yesterday.
        cursor-ledger history webhooks/orders/customer-7 --newest-first -n 20
        cursor-ledger history webhooks/orders/customer-7 --since yesterday
    """,
    "entries": """
        # The resets of the last week; what one actor did on a stream.
        cursor-ledger entries --kind reset --since 7d
        cursor-ledger entries --by ines --stream orders
    """,
    "status": """
        # How far readers may read; the same for a script.
        cursor-ledger status
        cursor-ledger status --json
    """,
    "advance": """
        # Everything up to 45 was delivered; 46 was left out on purpose.
        cursor-ledger advance webhooks/orders/customer-7 --to 45 --delivery-id m-45
        cursor-ledger advance webhooks/orders/customer-7 --to 46 --outcome skipped
    """,
    "error": """
        # A delivery failed, and the cursor stays where it is.
        cursor-ledger error webhooks/orders/customer-7 -m 'HTTP 503'
    """,
    "append": """
        # The requests of a file, one a line; all of them or none.
        cursor-ledger append requests.jsonl
        cursor-ledger append --atomic requests.jsonl
    """,
    "start": """
        # A consumer that begins behind 40, and never saw what lies before.
        cursor-ledger start reports/orders --at 40 --reason 'first report is of May'
    """,
    "adopt": """
        # What kafka-consumer-groups describes, looked at first, and then started.
        cursor-ledger adopt groups.txt
        cursor-ledger adopt groups.txt --execute
    """,
    "heads": """
        # Record how far a stream goes; show how far all go.
        cursor-ledger heads orders customer-7 --to 50
        cursor-ledger heads
    """,
    "positions": """
        # The stream is a topic of Kafka, whose offsets count from 0.
        cursor-ledger positions declare invoices zero-based
        cursor-ledger positions list
    """,
    "positions list": """
        # What was declared of which stream; the same for a script.
        cursor-ledger positions list
        cursor-ledger positions list --json
    """,
    "positions declare": """
        # A topic of Kafka counts from 0; a source has tokens.
        cursor-ledger positions declare invoices zero-based
        cursor-ledger positions declare stripe tokens --reason 'ids of events'
    """,
    "policy": """
        # From now on, each reset names a ticket; who has changed which policy.
        cursor-ledger policy set require-meta ticket --reason 'audit of 2026'
        cursor-ledger policy list
    """,
    "policy list": """
        # What each reset must carry, and who has changed it; for a script.
        cursor-ledger policy list
        cursor-ledger policy list --json
    """,
    "policy set": """
        # From now on, each reset names a ticket.
        cursor-ledger policy set require-meta ticket --reason 'audit of 2026'
    """,
    "policy drop": """
        # From now on, a reset needs no ticket any more.
        cursor-ledger policy drop require-meta ticket --reason 'the audit is over'
    """,
    "verify": """
        # Check everything; against checkpoints that were kept; what is new.
        cursor-ledger verify
        cursor-ledger verify --checkpoint signed.note --vkey orders.vkey
        cursor-ledger verify --since kept.json
    """,
    "checkpoint": """
        # Keep what proves later that nothing was changed; the same, signed.
        cursor-ledger checkpoint
        cursor-ledger checkpoint --sign orders.key
    """,
    "key new": """
        # A key that signs for one ledger.
        cursor-ledger key new new.key --origin example.com/orders
        # A key of a witness, who keeps no ledger.
        cursor-ledger key new witness.key --witness example.net/ines
    """,
    "key show": """
        # What others verify with, once more.
        cursor-ledger key show orders.key
    """,
    "key": """
        # A key that signs for one ledger; what others verify with, once more.
        cursor-ledger key new new.key --origin example.com/orders
        cursor-ledger key show orders.key
        # A key of a witness, who keeps no ledger.
        cursor-ledger key new witness.key --witness example.net/ines
    """,
    "cosign": """
        # As a witness: the first checkpoint, and later each that continues it.
        cursor-ledger cosign older.note --key ines.key --vkey orders.vkey
        cursor-ledger cosign grown.txt --key ines.key --vkey orders.vkey
    """,
    "proof": """
        # That an entry is in a signed checkpoint.
        cursor-ledger proof 3 --checkpoint signed.note
        # That a newer one has all of an older one.
        cursor-ledger proof --consistency older.note --checkpoint signed.note
    """,
    "verify-proof": """
        # With the key that was received from somebody who is trusted.
        cursor-ledger verify-proof 3.tlog-proof --vkey orders.vkey
        cursor-ledger verify-proof grown.txt --since older.note --vkey orders.vkey
    """,
    "export": """
        # The whole log, for import; entries as CloudEvents; offsets for Kafka.
        cursor-ledger export -o log.jsonl
        cursor-ledger export --format cloudevents --consumer webhooks
        cursor-ledger export --format kafka --consumer mailer
    """,
    "import": """
        # The log of another ledger; all of it must have come.
        cursor-ledger import log.jsonl
        cursor-ledger import log.jsonl --checkpoint kept.json
        # An archive, as a ledger that can be asked.
        cursor-ledger import orders.jsonl --vkey orders.vkey --db archive.db
    """,
    "evidence": """
        # All entries under a signed checkpoint; those of one consumer.
        cursor-ledger evidence --checkpoint signed.note -o all.jsonl
        cursor-ledger evidence --consumer webhooks --sign orders.key -o some.jsonl
        # The program that verifies them without cursor-ledger.
        cursor-ledger evidence --verifier
    """,
    "verify-evidence": """
        # With a key from somebody who is trusted; what is in it.
        cursor-ledger verify-evidence orders.jsonl --vkey orders.vkey
        cursor-ledger verify-evidence orders.jsonl --vkey orders.vkey --entries
    """,
    "archive": """
        # All entries up to now, or under a checkpoint that is there.
        cursor-ledger archive --sign orders.key -o archive.jsonl
        cursor-ledger archive --checkpoint older.note --vkey orders.vkey -o old
    """,
    "prune": """
        # What would be removed, and what stays; --execute removes it.
        cursor-ledger prune old.jsonl --vkey orders.vkey --reason 'a year is over'
    """,
    "retention": """
        # For how long nothing is removed; a lawsuit, which holds all of it.
        cursor-ledger retention keep 365d --reason 'the policy of 2026'
        cursor-ledger retention hold case-7 --reason 'a lawsuit'
        cursor-ledger retention list
    """,
    "retention list": """
        # How long entries are kept, and which holds there are; for a script.
        cursor-ledger retention list
        cursor-ledger retention list --json
    """,
    "retention keep": """
        # Nothing that is younger than a year is removed.
        cursor-ledger retention keep 365d --reason 'the policy of 2026'
    """,
    "retention hold": """
        # Nothing at all is removed, until this hold is released.
        cursor-ledger retention hold case-7 --reason 'a lawsuit'
    """,
    "retention release": """
        # The lawsuit is over; what retention keep says holds still.
        cursor-ledger retention release case-7 --reason 'it was settled'
    """,
    "tiles": """
        # The tree for the tools of others; later, only what is new is written.
        cursor-ledger tiles published --checkpoint signed.note
    """,
    "copy": """
        # A copy with the same positions and digests; the same command continues it.
        cursor-ledger copy cursor-ledger.db backup.db
    """,
    "backup": """
        # A file that is a ledger itself, made while the ledger is used.
        cursor-ledger backup monday.db
    """,
    "restore": """
        # Nothing is lost; three entries are lost, which the key has perhaps signed.
        cursor-ledger restore newest.db
        cursor-ledger restore older.db --key orders.key --lose 3
    """,
    "man": """
        # Read the page of a command; install all pages.
        cursor-ledger man reset
        cursor-ledger man --into man1
    """,
}
