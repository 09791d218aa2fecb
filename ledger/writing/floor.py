"""Which thread commits: the state of group commit, and the moves between its phases."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = [
    "ALONE",
    "BEGIN_ALONE",
    "BEGIN_BATCH",
    "COMMITTING",
    "END_ALONE",
    "END_BATCH",
    "END_COMMIT",
    "FREE",
    "MOVES",
    "TELLING",
    "Floor",
    "Move",
    "Phase",
]


class Phase(Enum):
    """What happens at the moment."""

    FREE = "nobody commits, and the next caller may commit in its own thread"
    ALONE = "a caller commits in its own thread; the others are queued"
    COMMITTING = "the serving thread commits a batch"
    TELLING = "the serving thread answers the calls of a batch, and runs their callbacks"


class Move(NamedTuple):
    """A step from some phases to another."""

    name: str
    before: tuple[Phase, ...]
    after: Phase


# By these names, because Python 3.11 takes 850 instructions to find a member in its Enum.
FREE, ALONE, COMMITTING, TELLING = Phase

# fmt: off
#                  who does what                               from                   to
BEGIN_ALONE = Move("a caller begins, or its turn comes",       (FREE,),               ALONE)
END_ALONE   = Move("the caller ends, however that is",         (ALONE,),              FREE)
BEGIN_BATCH = Move("a batch is taken; also in a callback",     (FREE, TELLING),       COMMITTING)
END_COMMIT  = Move("the transaction ends, however that is",    (COMMITTING,),         TELLING)
END_BATCH   = Move("all are told, or the thread was interrupted", (TELLING, COMMITTING), FREE)
# fmt: on

MOVES = (BEGIN_ALONE, END_ALONE, BEGIN_BATCH, END_COMMIT, END_BATCH)
"""All the moves that there are."""


class Floor:
    """The phase, and the thread that made the last move.

    It is read and moved under the lock of the queue, with one exception: a caller that ends alone
    moves it by plain assignments, because a call could be interrupted by a signal handler. It also
    begins like that, which takes less time.
    """

    def __init__(self) -> None:
        self.phase = Phase.FREE
        self.owner: int | None = None

    def make(self, move: Move, owner: int | None) -> None:
        """Make a move.

        Raises RuntimeError if the table has no such move from here.
        """
        if self.phase not in move.before:
            raise RuntimeError(f"{move.name}, but {self.phase.value}")
        self.phase, self.owner = move.after, owner
