"""The policies: what a reset must carry, as entries of the ledger say. Pure.

A policy is a cursor of the ledger's own consumer `cursor-ledger/policy`. It is in force while the
last reset of that cursor leads to 1, and dropped by one to 0, so that each change has an actor and
a reason for ever. Only resets count: whatever else is appended to such a cursor changes no policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never

import attrs

from ledger.errors import InvalidCursorError, LedgerError, invalid
from ledger.law import fields
from ledger.law.cursor import Cursor, CursorKey
from ledger.law.events import CursorReset, Entry
from ledger.law.requests import ResetCursor
from ledger.law.reserved import (
    APPROVAL,
    APPROVED_BY,
    POLICY,
    RULES,
    SIGNATURE,
    SIGNED_TEXT,
    is_reserved,
)
from ledger.law.sshsig import parts, plain_key
from ledger.law.takeovers import takes_over

__all__ = [
    "Policy",
    "PolicyChange",
    "PolicyKind",
    "PolicyUnmetError",
    "change_by",
    "in_force",
    "judge",
    "policy_of",
    "unmet",
]


class PolicyKind(StrEnum):
    """What a policy asks of each reset.

    >>> import ledger
    >>> [kind.value for kind in ledger.PolicyKind]
    ['require-signature', 'require-approval', 'require-meta']
    """

    SIGNATURE = "require-signature"
    """The signature of whoever planned it."""
    APPROVAL = "require-approval"
    """That signature, and another one by another key: of whoever has approved it."""
    META = "require-meta"
    """Metadata under a certain name, such as a ticket."""

    @classmethod
    def of(cls, value: object) -> PolicyKind:
        """Return the kind that `value` is, or is the text of. Raises InvalidCursorError."""
        try:
            return cls(fields.exact(value, "kind"))
        except InvalidCursorError:
            raise
        except ValueError:
            names = tuple(kind.value for kind in cls)
            raise invalid(
                "kind",
                f"must be one of {', '.join(names)}, not {value!r:.80}.",
                value=str(value)[:80],
                allowed=names,
            ) from None


def _kind(value: PolicyKind) -> PolicyKind:
    return value if type(value) is PolicyKind else PolicyKind.of(value)


def _name(value: str) -> str:
    return fields.text(value, "name", seen=True)


@attrs.frozen
class Policy:
    """Something that each reset must carry.

    `kind` says what, and `name` is the name in the metadata that `require-meta` asks for, empty for
    the other kinds: at most 512 characters. A reset carries it if the text under that name has a
    visible character.

    Raises InvalidCursorError.

    >>> import ledger
    >>> print(ledger.Policy("require-meta", "ticket"))
    require-meta ticket
    """

    kind: PolicyKind = attrs.field(converter=_kind)
    name: str = attrs.field(default="", converter=_name)

    def __attrs_post_init__(self) -> None:
        if (self.kind is PolicyKind.META) != bool(self.name):
            wanted = "needs the name of the metadata that it asks for" if not self.name else ""
            raise invalid("name", f"{wanted or 'is for require-meta'}: require-meta ticket.")
        if is_reserved(self.name):
            raise invalid("name", "is one that the ledger keeps for itself; choose another name.")

    @property
    def key(self) -> CursorKey:
        """The key of the cursor that says whether it is in force."""
        return CursorKey(POLICY, self.kind.value, self.name)

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}".strip()


@attrs.frozen(kw_only=True)
class PolicyChange:
    """A policy was set or dropped.

    `policy` is the policy, and `in_force` whether it is since. `position`, `recorded_at`, `actor`
    and `reason` are those of the entry that did it.

    >>> import ledger
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     change = book.policies.set(ledger.Policy("require-signature"), reason="audit of 2026")
    >>> change.actor, change.in_force
    ('ines', True)
    """

    policy: Policy
    in_force: bool
    position: int
    recorded_at: datetime
    actor: str
    reason: str

    def __str__(self) -> str:
        moment = self.recorded_at.astimezone(UTC).isoformat(timespec="seconds")
        done = "is in force, set" if self.in_force else "was dropped"
        return f"{self.policy} {done} by {self.actor} at {moment.removesuffix('+00:00')}Z"


class PolicyUnmetError(LedgerError):
    """A reset that does not carry what policies ask for.

    `request` is the reset that was refused, and `policies` are those that it does not meet, each as
    it was set. Both are None if the error was made of its message alone.

    >>> import ledger
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     policy = book.policies.set(ledger.Policy("require-meta", "ticket"), reason="audit")
    ...     try:
    ...         book.reset(key, to=41, reason="receiver lost 42")
    ...     except ledger.PolicyUnmetError as error:
    ...         print(*(unmet.policy for unmet in error.policies or ()))
    ...     book.reset(key, to=41, reason="lost 42", metadata={"ticket": "OPS-7"}).epoch
    require-meta ticket
    1
    """

    __module__ = "ledger"

    request: ResetCursor | None = None
    policies: tuple[PolicyChange, ...] | None = None

    def __init__(
        self, request: ResetCursor | str, policies: Sequence[PolicyChange] | str = ()
    ) -> None:
        if isinstance(request, str) or isinstance(policies, str):
            super().__init__("; ".join(str(part) for part in (request, policies) if part))
            return
        held = "; ".join(map(str, policies))
        advice = " ".join(_advice(each.policy) for each in policies)
        super().__init__(f"{request.key} cannot be reset like this: {held}. {advice}")
        self.request = request
        self.policies = tuple(policies)


def policy_of(key: CursorKey) -> Policy | None:
    """Return the policy whose cursor `key` names; None if it names none."""
    if key.consumer_id != POLICY:
        return None
    try:
        return Policy(PolicyKind.of(key.stream_name), key.subject_id)
    except InvalidCursorError:
        return None


def change_by(entry: Entry) -> PolicyChange | None:
    """Return what `entry` changes; None if it sets or drops no policy."""
    policy, event = policy_of(entry.key), entry.event
    if policy is None or not isinstance(event, CursorReset):
        return None
    return PolicyChange(
        policy=policy,
        in_force=event.sequence >= 1,
        position=entry.position,
        recorded_at=entry.recorded_at,
        actor=entry.actor,
        reason=event.reason,
    )


def in_force(last: Iterable[Entry]) -> tuple[PolicyChange, ...]:
    """Return the policies in force, by kind and name; `last` is the last reset of each."""
    changes = map(change_by, last)
    found = [each for each in changes if each is not None and each.in_force]
    kinds = list(PolicyKind)
    return tuple(sorted(found, key=lambda each: (kinds.index(each.policy.kind), each.policy.name)))


def unmet(
    policies: Iterable[PolicyChange], metadata: Mapping[str, str]
) -> tuple[PolicyChange, ...]:
    """Return those of `policies` that a reset with `metadata` does not meet.

    Only the form of signatures is checked, and that the two are not by one key. A reader that has a
    file of allowed signers judges whose keys they are, and whether they hold.
    """
    return tuple(each for each in policies if not _is_met(each.policy, metadata))


def judge(policies: Sequence[PolicyChange], cursor: Cursor | None, request: ResetCursor) -> None:
    """Refuse a reset of `cursor` that does not carry what `policies` ask for.

    A takeover moves nothing, and is not judged; neither are the ledger's own rules, such as holds.
    A policy is not reset like other cursors.

    Raises PolicyUnmetError, InvalidCursorError.
    """
    if request.key.consumer_id == POLICY:
        raise invalid(
            "key",
            "is a policy, which is not reset like other cursors. Set or drop it: policy set, "
            "policy drop, or Ledger.policies.",
            subject=str(request.key),
        )
    missing = () if request.key.consumer_id in RULES else unmet(policies, request.metadata)
    if missing and not takes_over(cursor, request):
        raise PolicyUnmetError(request, missing)


def _is_met(policy: Policy, metadata: Mapping[str, str]) -> bool:
    match policy.kind:
        case PolicyKind.SIGNATURE:
            return _signing_key(metadata) is not None
        case PolicyKind.APPROVAL:
            planner, approver = _signing_key(metadata), _key_in(metadata.get(APPROVAL))
            by = fields.is_seen(metadata.get(APPROVED_BY, ""))
            return bool(by and planner and approver) and planner != approver
        case PolicyKind.META:
            return fields.is_seen(metadata.get(policy.name, ""))
        case _:
            assert_never(policy.kind)


def _signing_key(metadata: Mapping[str, str]) -> bytes | None:
    return _key_in(metadata.get(SIGNATURE)) if SIGNED_TEXT in metadata else None


def _key_in(signature: str | None) -> bytes | None:
    try:
        return plain_key(parts(signature)[0]) or None
    except ValueError:
        return None


def _advice(policy: Policy) -> str:
    match policy.kind:
        case PolicyKind.SIGNATURE:
            return "Sign the plan: reset --sign KEY, or ResetPlan.signed."
        case PolicyKind.APPROVAL:
            return (
                "Sign the plan, and have somebody else approve it: reset --sign KEY --approve "
                "KEY --approved-by NAME, or ResetPlan.approved."
            )
        case PolicyKind.META:
            name = policy.name
            return f"Add it: reset --meta {name}=…, or metadata={{{name!r}: …}}."
        case _:
            assert_never(policy.kind)
