"""What each reset must carry: policies that are kept in the ledger, and who has changed them."""

from __future__ import annotations

from collections.abc import Mapping

# The ledger is named as `ledger.Ledger`, whose module imports this one when it is asked for.
import ledger
from ledger.errors import InvalidCursorError, invalid
from ledger.law import fields
from ledger.law.cursor import CursorKey
from ledger.law.events import CursorReset
from ledger.law.pairs import EMPTY
from ledger.law.policies import Policy, PolicyChange, change_by
from ledger.law.queries import CursorQuery, EntryQuery
from ledger.law.requests import ResetCursor
from ledger.law.reserved import POLICY, POLICY_STREAMS

__all__ = ["Policies"]


class Policies:
    """The policies of a ledger: what each reset must carry; see `Ledger.policies`.

    A policy is an ordinary cursor, of the consumer `cursor-ledger/policy`: it has a history, with
    an actor and a reason for each change, and is covered by `verify`, checkpoints and bundles. A
    reset that does not carry what is required is refused with PolicyUnmetError, in the transaction
    that would have appended it. Takeovers, which move nothing, are not judged; nor is what
    `copy_to` copies, because it has happened.

    >>> import ledger
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     change = book.policies.set(ledger.Policy("require-meta", "ticket"), reason="audit")
    ...     print(*(each.policy for each in book.policies.in_force()))
    ...     book.policies.drop(ledger.Policy("require-meta", "ticket"), reason="over").in_force
    require-meta ticket
    False
    """

    def __init__(self, book: ledger.Ledger) -> None:
        self._book = book

    def in_force(self) -> list[PolicyChange]:
        """Return the policies in force, by kind and name, each as it was set.

        >>> import ledger
        >>> with ledger.open(":memory:") as book:
        ...     book.policies.in_force()
        []
        """
        return [each for each in self.all() if each.in_force]

    def all(self) -> list[PolicyChange]:
        """Return the last change of each policy that was ever set, by kind and name.

        >>> import ledger
        >>> with ledger.open(":memory:", actor="ines") as book:
        ...     change = book.policies.set(ledger.Policy("require-approval"), reason="audit")
        ...     change = book.policies.drop(ledger.Policy("require-approval"), reason="nobody here")
        ...     [(each.policy.kind.value, each.in_force) for each in book.policies.all()]
        [('require-approval', False)]
        """
        return [
            change
            for stream in POLICY_STREAMS
            for cursor in self._book.cursors(CursorQuery(consumer_id=POLICY, stream_name=stream))
            if (change := self._last(cursor.key, cursor.version)) is not None
        ]

    def set(
        self,
        policy: Policy,
        *,
        reason: str,
        actor: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> PolicyChange:
        """Put `policy` in force for all resets from now on, and say why; return the change.

        If it is in force already, nothing is appended, and the change that has set it is returned.
        `actor` is who sets it, the ledger's own actor if it is empty, and `metadata` is kept with
        the entry.

        All who append wait until it is committed. Raises InvalidCursorError, also within the
        transaction of a caller; ResetReasonRequiredError, ActorRequiredError; StorageError on
        PostgreSQL if this user may not lock the table of cursors.

        >>> import ledger
        >>> with ledger.open(":memory:", actor="ines") as book:
        ...     book.policies.set(ledger.Policy("require-signature"), reason="audit").position
        1
        """
        return self._change(policy, 1, reason, actor, metadata)

    def drop(
        self,
        policy: Policy,
        *,
        reason: str,
        actor: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> PolicyChange:
        """Let resets be made without what `policy` requires, and say why; return the change.

        Everybody who may set a policy can drop it; the log keeps for ever that they did.
        Parameters are those of `set`.

        Raises what `set` does; InvalidCursorError if it is not in force.

        >>> import ledger
        >>> with ledger.open(":memory:", actor="ines") as book:
        ...     change = book.policies.set(ledger.Policy("require-signature"), reason="audit")
        ...     book.policies.drop(ledger.Policy("require-signature"), reason="audit is over").actor
        'ines'
        """
        return self._change(policy, 0, reason, actor, metadata)

    def _change(
        self, policy: Policy, to: int, reason: str, actor: str, metadata: Mapping[str, str] | None
    ) -> PolicyChange:
        if not isinstance(policy, Policy):
            raise invalid("policy", f"must be a Policy, not {fields.kind(policy)}.")
        book, committer = self._book, self._book._committer
        if committer.waking is None:
            raise InvalidCursorError(
                "a policy is changed on the ledger itself, not inside your own transaction: all "
                "who append would wait for its end."
            )
        # Only a change needs it.
        from ledger.writing import policies

        request = ResetCursor(
            policy.key, to, reason, actor=actor, metadata=EMPTY if metadata is None else metadata
        )
        before, version = book._appender.run(
            lambda transaction: policies.change(
                transaction, policy, request, actor=committer.actor, clock=committer.clock
            )
        )
        if version:
            before = self._last(policy.key, version)
        # It is there: it was in force, or was just appended.
        assert before is not None  # noqa: S101
        return before

    def _last(self, key: CursorKey, version: int) -> PolicyChange | None:
        """Return the last change of a policy up to a version; None if there is none."""
        query = EntryQuery(key=key, version_until=version, newest_first=True)
        resets = (e for e in self._book.entries(query) if isinstance(e.event, CursorReset))
        last = next(resets, None)
        return None if last is None else change_by(last)
