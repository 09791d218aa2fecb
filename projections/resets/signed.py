"""What can be proved of who made a reset: its plan was signed, and perhaps approved."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import attrs

from ledger import (
    AllowedSigners,
    Entry,
    EntryQuery,
    Ledger,
    SignatureState,
    SignedBy,
    UnprovenError,
)
from ledger.law.reserved import is_signature
from ledger.log.text import show_time
from projections.coroutines import blocking
from projections.resets import identity
from projections.resets.identity import LedgerMark
from projections.resets.seals import Seal
from projections.resets.views import RecordedReset

__all__ = ["ResetSignature", "reset_signature"]


@attrs.frozen(kw_only=True)
class ResetSignature:
    """What is known of who made a reset.

    `by` says who has signed its plan; its state is ASSERTED if nobody has. `approval` says who has
    approved it, None if nobody has, and `approved_by` is the name that they gave. `cursors` is how
    many cursors the plan was signed for, 0 if it is not known.

    >>> import ledger
    >>> from projections import ResetSignature
    >>> asserted = ledger.SignedBy(state=ledger.SignatureState.ASSERTED)
    >>> ResetSignature(by=asserted).is_bad
    False
    """

    by: SignedBy
    approved_by: str = ""
    approval: SignedBy | None = None
    cursors: int = 0

    @property
    def is_bad(self) -> bool:
        """Whether what is there as a signature is none of this reset."""
        states = {self.by.state, self.approval.state if self.approval else None}
        return SignatureState.BAD in states

    @property
    def is_approved(self) -> bool:
        """Whether two have signed it who are both known."""
        signed = SignatureState.SIGNED
        return (
            self.by.state is signed
            and self.approval is not None
            and (self.approval.state is signed)
        )


def reset_signature(
    book: Ledger,
    reset: RecordedReset,
    signers: AllowedSigners,
    *,
    ledgers: Collection[str] = (),
) -> ResetSignature:
    """Return who has signed `reset`, which is one of `book`, as far as `signers` tells.

    The text that they signed is made again of the entry, and of the entry before it on the same
    cursor. A key must have been valid when the ledger recorded the reset. `ledgers` are the ids of
    ledgers that `book` was copied from.

    Raises StorageError if ssh-keygen is missing or too old.

    >>> import ledger, tempfile
    >>> from projections import reset_signature, resets
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with tempfile.NamedTemporaryFile() as file, ledger.open(":memory:", actor="ines") as book:
    ...     cursor = book.reset(key, to=41, reason="start at order 42")
    ...     [reset] = resets(book)
    ...     reset_signature(book, reset, ledger.AllowedSigners(file.name)).by.state.value
    'asserted'
    """
    blocking(book, "await book.run(reset_signature, reset, signers)")
    if not any(map(is_signature, reset.metadata)):
        return ResetSignature(by=SignedBy(state=SignatureState.ASSERTED))
    entry = next(
        book.entries(EntryQuery(position_from=reset.position, position_until=reset.position)), None
    )
    try:
        if entry is None:
            raise UnprovenError("its entry is not in the log")
        before = identity.head(book, entry.key, entry.version - 1) if entry.version > 1 else None
        seal = Seal.of(entry, before)
        if seal is None:
            raise UnprovenError("its entry has no signature")
        _check_ledger(LedgerMark.of(book), seal, ledgers)
        _check_time(seal, entry)
    except UnprovenError as error:
        return ResetSignature(by=SignedBy(state=SignatureState.BAD, why=str(error).rstrip(".")))
    return _judged(seal, signers, entry.recorded_at)


def _judged(seal: Seal, signers: AllowedSigners, at: datetime) -> ResetSignature:
    text, signatures = seal.text, seal.signatures
    by = signers.judge(text.to_sign(), signatures.planner, at)
    approval = None
    if signatures.approval is not None:
        approval = signers.judge(text.to_approve(signatures.approved_by), signatures.approval, at)
        one_key = signatures.approval.same_key(signatures.planner) or approval.key == by.key
        if one_key or (approval.signer and approval.signer == by.signer):
            approval = attrs.evolve(
                approval, state=SignatureState.BAD, why="whoever planned it has approved it"
            )
    return ResetSignature(
        by=by, approved_by=signatures.approved_by, approval=approval, cursors=text.cursors
    )


def _check_ledger(mark: LedgerMark, seal: Seal, ledgers: Collection[str]) -> None:
    # A file has no id: what was signed there is known by its entries alone, wherever they are.
    signed_for = seal.text.ledger
    if signed_for and signed_for != mark.id and signed_for not in ledgers:
        raise UnprovenError(f"it was signed for the ledger {signed_for}, and this is another one")
    if seal.text.first not in (None, mark.digest):
        raise UnprovenError("it was signed for a ledger that begins with another entry")


def _check_time(seal: Seal, entry: Entry) -> None:
    expires_at = seal.text.expires_at
    if expires_at is not None and entry.recorded_at > expires_at:
        raise UnprovenError(f"the plan had expired at {show_time(expires_at)}")
