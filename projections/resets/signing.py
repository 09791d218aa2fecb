"""How a plan is signed, and what its entries have of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ledger import InvalidCursorError, PlanText, SshSignature, UnprovenError
from ledger.law.pairs import SignedPairs
from projections.resets import marks, seals
from projections.resets.seals import Signatures

if TYPE_CHECKING:
    from projections.resets.plans import ResetPlan

__all__ = ["approved", "metadata_of", "planner_signed", "text_of"]


def text_of(plan: ResetPlan) -> PlanText:
    """Return the text of a plan. Raises InvalidCursorError if it does not say enough."""
    return _text_of(plan)[0]


def planner_signed(plan: ResetPlan, signature: SshSignature) -> Signatures:
    """Return the signatures of a plan that its planner has signed.

    Raises UnprovenError if it is none of this plan, InvalidCursorError, StorageError.
    """
    text, paths = _text_of(plan)
    signature.check(text.to_sign())
    return _with_room(plan, text, paths, Signatures(planner=signature))


def approved(
    plan: ResetPlan, before: Signatures | None, approval: SshSignature, approved_by: str
) -> Signatures:
    """Return the signatures of a signed plan, and with them that of who approved it.

    Raises UnprovenError if it is none of this plan, or that of the planner's key;
    InvalidCursorError, StorageError.
    """
    if before is None:
        raise InvalidCursorError("the plan is not signed. The planner signs it before an approver.")
    text, paths = _text_of(plan)
    approval.check(text.to_approve(approved_by))
    if approval.same_key(before.planner):
        raise UnprovenError(
            f"the key {approval.fingerprint} has signed the plan itself. Somebody else approves "
            "it, with another key."
        )
    after = Signatures(planner=before.planner, approved_by=approved_by.strip(), approval=approval)
    return _with_room(plan, text, paths, after)


def metadata_of(
    plan: ResetPlan, signatures: Signatures, own: Mapping[str, str]
) -> Iterator[Mapping[str, str]]:
    """Yield the metadata of each entry: that of the reset, `own`, and who has signed the plan."""
    text, paths = _text_of(plan)
    for reset, more in zip(plan.resets, _marks(plan, text, paths, signatures), strict=True):
        yield SignedPairs({**reset.metadata, **own, **more})


def _text_of(plan: ResetPlan) -> tuple[PlanText, list[tuple[bytes, ...]]]:
    if plan.ledger is None or plan.planned_at is None or not plan.resets:
        raise InvalidCursorError(
            "the plan does not say for which ledger it is, or when it was made, or resets nothing, "
            "so it cannot be signed. Make it by ResetPlan.make or ResetPlan.undo."
        )
    return PlanText.over(
        map(seals.line_of, plan.resets),
        ledger=plan.ledger.id,
        first=plan.ledger.digest,
        planned_by=plan.planned_by,
        planned_at=plan.planned_at,
        expires_at=plan.expires_at,
        plan=plan.digest,
    )


def _with_room(
    plan: ResetPlan, text: PlanText, paths: Sequence[tuple[bytes, ...]], signatures: Signatures
) -> Signatures:
    of_file = _of_file(plan)
    for reset, more in zip(plan.resets, _marks(plan, text, paths, signatures), strict=True):
        marks.check_room(reset, {**of_file, **more})
    return signatures


def _of_file(plan: ResetPlan) -> Mapping[str, str]:
    return marks.of_file(plan.digest, planned_by=plan.planned_by, planned_at=plan.planned_at)


def _marks(
    plan: ResetPlan, text: PlanText, paths: Sequence[tuple[bytes, ...]], signatures: Signatures
) -> list[dict[str, str]]:
    places = enumerate(zip(plan.resets, paths, strict=True))
    return [seals.marks_of(text, signatures, reset, index, path) for index, (reset, path) in places]
