"""What does not survive a fork, and says so."""

from __future__ import annotations

import os

import attrs

from ledger.errors import StorageError

__all__ = ["ForkGuard"]


class _Process:
    """This process. To ask the system each time would cost an advance two calls of it."""

    pid = os.getpid()

    @classmethod
    def look_again(cls) -> None:
        cls.pid = os.getpid()


os.register_at_fork(after_in_child=_Process.look_again)


@attrs.frozen
class ForkGuard:
    """Remembers the process in which something was opened.

    Neither connections, nor locks, nor threads of a parent are of use in its child.
    """

    pid: int = attrs.field(factory=lambda: _Process.pid, init=False)

    def forked(self) -> bool:
        """Return whether this is another process by now."""
        return self.pid != _Process.pid

    def check(self) -> None:
        """Refuse to go on in another process.

        Raises StorageError.
        """
        if self.pid != _Process.pid:
            raise StorageError(
                "This ledger was opened before this process was forked; open it again in the child."
            )
