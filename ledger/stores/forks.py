"""What does not survive a fork, and says so."""

from __future__ import annotations

import os

import attrs

from ledger.errors import StorageError

__all__ = ["ForkGuard"]


@attrs.frozen
class ForkGuard:
    """Remembers the process in which something was opened.

    Neither connections, nor locks, nor threads of a parent are of use in its child.
    """

    pid: int = attrs.field(factory=os.getpid, init=False)

    def forked(self) -> bool:
        """Say whether this is another process by now."""
        return self.pid != os.getpid()

    def check(self) -> None:
        """Refuse to go on in another process.

        Raises StorageError.
        """
        if self.pid != os.getpid():
            raise StorageError(
                "This ledger was opened before this process was forked; open it again in the child."
            )
