"""Until when a call waits for others: one value, made once and passed down."""

from __future__ import annotations

from time import monotonic

__all__ = ["Deadline"]


class Deadline:
    """A moment on the monotonic clock.

    It is made at the entry of a call. Whatever the call waits for after that, the queue of this
    process, other processes or a server, is waited for until the same moment; so the busy time-out
    is spent once.
    """

    # No class of attrs, because to make one takes 0.4 ms, and every command would; and every call
    # makes a deadline, for which attrs takes three times as long where it is frozen.
    __slots__ = ("allowed_s", "at")

    def __init__(self, at: float, allowed_s: float) -> None:
        self.at = at
        self.allowed_s = allowed_s
        """The whole time-out, of which this deadline is the end."""

    @classmethod
    def after(cls, allowed_s: float, since: float | None = None) -> Deadline:
        """Return the deadline `allowed_s` seconds from now, or from `since`."""
        return cls((monotonic() if since is None else since) + allowed_s, allowed_s)

    @property
    def began_at(self) -> float:
        """When the time-out began to run."""
        return self.at - self.allowed_s

    @property
    def left_s(self) -> float:
        """The seconds that are left; 0 if none are."""
        return max(self.at - monotonic(), 0.0)

    @property
    def left_ms(self) -> int:
        """The whole milliseconds that are left; 0 if none are."""
        return int(self.left_s * 1_000)

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return monotonic() >= self.at
