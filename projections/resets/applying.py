"""From a plan to its resets: it is signed and approved, checked, and applied.

These are methods of `ResetPlan`, which names them: `apply = applying.apply`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self, TypeVar

import attrs

# What few plans need is imported by those.
import ledger as books
from ledger import Cursor, InvalidCursorError, Ledger, VersionConflictError
from projections.coroutines import blocking
from projections.resets import goals, identity, marks

if TYPE_CHECKING:
    from projections.resets.plans import ResetPlan

__all__ = ["adding", "apply", "approved", "check", "signed"]

F = TypeVar("F", bound=Callable[..., object])


def method(function: F) -> F:
    """Return `function`, named as one that is written in the class."""
    function.__module__ = "projections.resets.plans"
    function.__qualname__ = f"ResetPlan.{function.__name__}"
    # What the class is called is there for mypy; at run time it could not be resolved here.
    types = function.__annotations__
    types.pop("self", None)
    types.update({name: Self for name, said in types.items() if said == "ResetPlan"})
    return function


@method
def signed(self: ResetPlan, signature: books.SshSignature) -> ResetPlan:
    """Return the plan with `signature`, which is that of `text.to_sign()` by whoever planned it.

    Raises UnprovenError if it is none of this plan; InvalidCursorError, also if the metadata
    has no room for it; StorageError if ssh-keygen is missing.

    >>> import ledger, subprocess, tempfile
    >>> from projections import ResetPlan
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     new_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/ines"]
    ...     done = subprocess.run(new_key, check=True)
    ...     plan = ResetPlan.make(book, [key], to=41, reason="start at 42", planned_by="ines")
    ...     signature = ledger.SshSignature.by(f"{folder}/ines", plan.text.to_sign())
    ...     signed = plan.signed(signature)
    >>> signed.signatures.planner == signature
    True
    """
    from projections.resets import signing

    plan = self._in_file()
    return plan._having(signing.planner_signed(plan, signature))


@method
def approved(self: ResetPlan, approval: books.SshSignature, *, approved_by: str) -> ResetPlan:
    """Return the signed plan with `approval`, a signature of `text.to_approve(approved_by)`.

    `approved_by` is the name of the approver, as the entries keep it.

    Raises what `signed` does, InvalidCursorError if the plan is not signed, and UnprovenError if
    the approval is of the key that has signed it.

    >>> import ledger, subprocess, tempfile
    >>> from projections import ResetPlan
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with tempfile.TemporaryDirectory() as folder, ledger.open(":memory:") as book:
    ...     for file in (f"{folder}/ines", f"{folder}/joao"):
    ...         new_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file]
    ...         done = subprocess.run(new_key, check=True)
    ...     plan = ResetPlan.make(book, [key], to=41, reason="start at 42", planned_by="ines")
    ...     plan = plan.signed(ledger.SshSignature.by(f"{folder}/ines", plan.text.to_sign()))
    ...     approval = ledger.SshSignature.by(f"{folder}/joao", plan.text.to_approve("joao"))
    ...     plan.approved(approval, approved_by="joao").signatures.approved_by
    'joao'
    """
    from projections.resets import signing

    after = signing.approved(self, self.signatures, approval, approved_by)
    return self._in_file()._having(after)


@method
def adding(self: ResetPlan, metadata: Mapping[str, str]) -> ResetPlan:
    """Return the plan with `metadata` in each of its entries, beside what they have.

    Raises InvalidCursorError if they have one of its names already, or would have too much.

    >>> import ledger
    >>> from projections import ResetPlan
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     plan = ResetPlan.make(book, [key], to=41, reason="start at order 42")
    ...     cursors = plan.adding({"ticket": "OPS-7"}).apply(book)
    ...     [dict(entry.metadata) for entry in book.history(key)]
    [{'ticket': 'OPS-7'}]
    """
    if not metadata:
        return self
    own = self._marks(self.digest)
    resets = (
        attrs.evolve(reset, metadata=marks.merged(reset, own, metadata)) for reset in self.resets
    )
    return attrs.evolve(self, resets=tuple(resets))._with(self.digest)


@method
def check(self: ResetPlan, book: Ledger) -> None:
    """See that `book` is the ledger, and that every cursor is still as it was when planned.

    Raises VersionConflictError at the first that is not, DivergedError if the ledger or the
    history of a cursor is another one.

    >>> import ledger
    >>> from projections import ResetPlan
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     plan = ResetPlan.make(book, [key], to=41, reason="receiver lost 42 and 43")
    ...     plan.check(book)
    ...     cursor = book.advance(key, to=44)
    ...     try:
    ...         plan.check(book)
    ...     except ledger.VersionConflictError as error:
    ...         print("plan it again:", error.current.last_sequence, "was delivered since")
    plan it again: 44 was delivered since
    """
    blocking(book, "await book.run(plan.check)")
    identity.check(book, self.ledger, self.resets)
    for reset in self.resets:
        current = goals.current(book, reset.key)
        if reset.version != (current.version if current else 0):
            raise VersionConflictError(current, reset.request)


@method
def apply(
    self: ResetPlan,
    book: Ledger,
    *,
    actor: str = "",
    metadata: Mapping[str, str] | None = None,
    if_unchanged: bool = True,
) -> list[Cursor]:
    """Make all resets in one transaction of `book`, or none of them; return the cursors.

    `actor` is who makes them; empty for the actor of the ledger.

    Unless `if_unchanged` is False, they are refused if something was appended to the cursors since
    they were planned. False is for a plan that nobody has seen, of cursors whose consumers are
    running.

    `metadata` is added to that of each entry. If the plan was read from a file, so are the
    file's digest as `plan`, and who planned it and when as `planned_by` and `planned_at`.

    Raises VersionConflictError if anything was appended to one of the cursors since it was
    planned, DivergedError if it was planned for another ledger, ActorRequiredError;
    InvalidCursorError if it has expired, or is signed and something else is asked for.

    >>> import ledger
    >>> from projections import ResetPlan
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursor = book.advance(key, to=44)
    ...     plan = ResetPlan.make(book, [key], to=41, reason="receiver lost 42 and 43")
    ...     [cursor] = plan.apply(book, actor="ines", metadata={"ticket": "OPS-7"})
    ...     cursor.last_sequence, cursor.epoch
    (41, 1)
    """
    blocking(book, "await book.run(plan.apply, …)")
    marks.check_expiry(self.expires_at, book.now())
    if self.signatures is not None and (metadata or not if_unchanged):
        raise InvalidCursorError(
            "the plan is signed as it is: nothing is added to it, and it is applied only if "
            "nothing has changed. Leave that out, or plan and sign it again."
        )
    plan = self.adding(metadata or {})
    identity.check(book, self.ledger, self.resets)
    own = self._marks(self.digest)
    if not if_unchanged and any(marks.BATCH in reset.metadata for reset in self.resets):
        # It may be made more than once, and each time is a group of its own.
        own[marks.BATCH] = uuid.uuid4().hex
    return book.append(
        attrs.evolve(
            reset.request,
            actor=actor,
            metadata=metadata,
            expected_version=reset.version if if_unchanged else None,
        )
        for reset, metadata in zip(plan.resets, plan._metadata(own), strict=True)
    )
