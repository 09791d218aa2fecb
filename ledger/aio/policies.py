"""The policies, for coroutines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

# The ledger is named as `ledger.aio.AsyncLedger`, whose module imports this one.
import ledger
from ledger.law.policies import Policy, PolicyChange

if TYPE_CHECKING:
    import ledger.aio

__all__ = ["AsyncPolicies"]


class AsyncPolicies:
    """`Policies` for coroutines; see `AsyncLedger.policies`. Each method does what that one does.

    >>> import asyncio, ledger.aio
    >>> async def main() -> list[str]:
    ...     async with ledger.aio.open(":memory:", actor="ines") as book:
    ...         await book.policies.set(ledger.Policy("require-meta", "ticket"), reason="audit")
    ...         return [str(each.policy) for each in await book.policies.in_force()]
    >>> asyncio.run(main())
    ['require-meta ticket']
    """

    def __init__(self, book: ledger.aio.AsyncLedger) -> None:
        self._book = book

    async def in_force(self) -> list[PolicyChange]:
        """Return the policies in force, by kind and name, each as it was set."""
        return await self._book.run(lambda book: book.policies.in_force())

    async def all(self) -> list[PolicyChange]:
        """Return the last change of each policy that was ever set, by kind and name."""
        return await self._book.run(lambda book: book.policies.all())

    async def set(
        self,
        policy: Policy,
        *,
        reason: str,
        actor: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> PolicyChange:
        """Put `policy` in force for all resets from now on, and say why; return the change."""
        return await self._book.run(
            lambda book: book.policies.set(policy, reason=reason, actor=actor, metadata=metadata)
        )

    async def drop(
        self,
        policy: Policy,
        *,
        reason: str,
        actor: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> PolicyChange:
        """Let resets be made without what `policy` requires, and say why; return the change."""
        return await self._book.run(
            lambda book: book.policies.drop(policy, reason=reason, actor=actor, metadata=metadata)
        )
