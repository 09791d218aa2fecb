"""The report for an auditor: all resets of a period, and the checkpoint that they are under."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime

import attrs

from ledger import (
    AllowedSigners,
    Checkpoint,
    CursorKey,
    CursorReset,
    EntryQuery,
    Ledger,
    PolicyChange,
)
from ledger.law.reserved import POLICY, RULES
from ledger.law.takeovers import is_takeover
from projections.coroutines import blocking
from projections.resets.marks import PLAN, PLANNED_BY
from projections.resets.policies import PolicyHistory
from projections.resets.signed import ResetSignature, reset_signature
from projections.resets.views import RecordedReset, resets

__all__ = ["ReportedReset", "ResetReport", "report_resets"]

TICKET = "ticket"
"""The name in the metadata under which a ticket is kept."""


@attrs.frozen(kw_only=True)
class ReportedReset:
    """One reset in a report.

    `position`, `recorded_at`, `key`, `version`, `previous_sequence`, `sequence`, `actor` and
    `reason` are those of its entry, `digest` is the entry's. `ticket` is what the metadata have
    under this name. `planned_by` and `plan` are the planner and the digest of the plan from a file,
    empty if there was none. `authenticated` is the role that was logged in to the database, empty
    where nothing is noted. `signature` says who has signed and approved it, None if nobody looked.
    `recorded` says what it did and what became of it. `unmet` are the policies that were in force
    then, and that it does not meet.

    >>> from projections import ReportedReset
    >>> [field.name for field in ReportedReset.__attrs_attrs__][:3]
    ['position', 'recorded_at', 'key']
    """

    position: int
    recorded_at: datetime
    key: CursorKey
    version: int
    previous_sequence: int
    sequence: int
    actor: str
    reason: str
    ticket: str
    planned_by: str
    plan: str
    authenticated: str
    signature: ResetSignature | None
    digest: bytes = attrs.field(repr=bytes.hex)
    recorded: RecordedReset = attrs.field(repr=False)
    unmet: tuple[PolicyChange, ...] = ()

    @property
    def is_rule(self) -> bool:
        """Whether it is of a policy, a hold or the like, and needs neither ticket nor signature."""
        return self.key.consumer_id in RULES


@attrs.frozen(kw_only=True)
class ResetReport:
    """All resets that were recorded from `since` to `until`, None for the first and the last.

    `checkpoint` covers them: whoever has it signed can have each of `resets` proved, and what is
    not under it is not in the report. `taken_at` is when it was made, and `ledger` the id of the
    ledger. `notes_logins` says whether it is known who was logged in to the database. `takeovers`
    is how many takeovers by consumers there were; they move nothing and are not listed. `policies`
    are all changes of policies up to the checkpoint, whenever they were made.

    >>> import ledger
    >>> from projections import report_resets
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.reset(ledger.CursorKey("webhooks", "orders"), to=41, reason="moved here")
    ...     report = report_resets(book)
    >>> [reset.position for reset in report.without_ticket], report.checkpoint.entries
    ([1], 1)
    """

    since: datetime | None
    until: datetime | None
    taken_at: datetime
    ledger: str
    checkpoint: Checkpoint
    resets: Sequence[ReportedReset]
    takeovers: int
    policies: Sequence[PolicyChange] = ()
    notes_logins: bool = False

    @property
    def without_ticket(self) -> list[ReportedReset]:
        """Those that name no ticket."""
        return [reset for reset in self.of_cursors if not reset.ticket.strip()]

    @property
    def without_signature(self) -> list[ReportedReset]:
        """Those whose planner is not proved: nobody has signed, or nobody who is known."""
        return [
            reset
            for reset in self.of_cursors
            if reset.signature is None or reset.signature.by.state != "signed"
        ]

    @property
    def without_approval(self) -> list[ReportedReset]:
        """Those of which it is not proved that somebody else has approved them."""
        return [
            reset
            for reset in self.of_cursors
            if reset.signature is None or not reset.signature.is_approved
        ]

    @property
    def incomplete(self) -> list[ReportedReset]:
        """Those whose plan was signed for more cursors than are in the report under it."""
        together = Counter(reset.plan for reset in self.resets)
        return [
            reset
            for reset in self.resets
            if reset.signature and reset.signature.cursors > together[reset.plan]
        ]

    @property
    def against_policy(self) -> list[ReportedReset]:
        """Those that lack what a policy required when they were made."""
        return [reset for reset in self.resets if reset.unmet]

    @property
    def dropped(self) -> list[ReportedReset]:
        """Those that dropped a policy."""
        return [
            reset for reset in self.resets if reset.key.consumer_id == POLICY and not reset.sequence
        ]

    @property
    def of_cursors(self) -> list[ReportedReset]:
        """Those of consumers: not those of policies, holds and the like, which need no ticket."""
        return [reset for reset in self.resets if not reset.is_rule]

    @property
    def bad(self) -> list[ReportedReset]:
        """Those with a signature that does not hold."""
        return [reset for reset in self.resets if reset.signature and reset.signature.is_bad]


def report_resets(
    book: Ledger,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    signers: AllowedSigners | None = None,
    ledgers: Collection[str] = (),
) -> ResetReport:
    """Return the report of the resets of `book` that were recorded from `since` to `until`.

    Both ends are included; None is the first entry, or the last.

    With `signers`, it says who has signed and approved each: `ledgers` as for `reset_signature`.
    To make the checkpoint reads all entries.

    Raises InvalidCursorError, StorageError.

    >>> import ledger
    >>> from projections import report_resets
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.reset(key, to=41, reason="moved here", metadata={"ticket": "OPS-7"})
    ...     [(reset.actor, reset.ticket) for reset in report_resets(book).resets]
    [('ines', 'OPS-7')]
    """
    blocking(book, "await book.run(report_resets, since=…)")
    # Whatever is appended meanwhile is behind it, and in neither.
    checkpoint = book.checkpoint()
    period = EntryQuery(
        kinds=(CursorReset,),
        recorded_from=since,
        recorded_until=until,
        position_until=checkpoint.position,
    )
    digests: dict[int, bytes] = {}
    takeovers = 0
    if checkpoint.entries:
        for entry in book.entries(period):
            digests[entry.position] = entry.digest
            takeovers += is_takeover(entry)
    found = resets(book, period) if checkpoint.entries else ()
    history = PolicyHistory.of(book)
    return ResetReport(
        since=period.recorded_from,
        until=period.recorded_until,
        taken_at=book.now() if checkpoint.taken_at is None else checkpoint.taken_at,
        ledger=book.identity(),
        checkpoint=checkpoint,
        takeovers=takeovers,
        policies=[each for each in history.changes if each.position <= checkpoint.position],
        notes_logins=book.session_users(()) is not None,
        resets=tuple(
            ReportedReset(
                position=reset.position,
                recorded_at=reset.recorded_at,
                key=reset.key,
                version=reset.version,
                previous_sequence=reset.previous_sequence,
                sequence=reset.sequence,
                actor=reset.actor,
                reason=reset.reason,
                ticket=reset.metadata.get(TICKET, ""),
                planned_by=reset.metadata.get(PLANNED_BY, ""),
                plan=reset.metadata.get(PLAN, ""),
                authenticated=reset.authenticated,
                signature=reset_signature(book, reset, signers, ledgers=ledgers)
                if signers
                else None,
                digest=digests[reset.position],
                recorded=reset,
                unmet=history.unmet(reset),
            )
            for reset in found
        ),
    )
