"""What does not survive a fork, and says so."""

from __future__ import annotations

import os

from ledger.errors import StorageError

__all__ = ["ForkGuard"]


class _Process:
    """This process. To ask the system each time would cost an advance two calls of it."""

    pid = os.getpid()

    @classmethod
    def look_again(cls) -> None:
        cls.pid = os.getpid()


os.register_at_fork(after_in_child=_Process.look_again)


class ForkGuard:
    """Remembers the process in which something was opened.

    Neither connections, nor locks, nor threads of a parent are of use in its child.
    """

    # No class of attrs, because to make one takes 0.4 ms, and every command would.
    __slots__ = ("pid",)

    def __init__(self) -> None:
        self.pid = _Process.pid

    def forked(self) -> bool:
        """Return whether this is another process by now."""
        return self.pid != _Process.pid

    def check(self) -> None:
        """Refuse to go on in another process.

        Raises StorageError.
        """
        if self.pid != _Process.pid:
            raise StorageError(
                "This ledger was opened before this process was forked; open it again in the "
                "child. If a module opens it, write ledger.lazy(…) in place of ledger.open(…): "
                "each process then opens it when it first uses it."
            )
