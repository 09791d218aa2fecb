"""For the tests of programs that embed the ledger: a clock, a story, a source, a book in memory.

The fixtures of the pytest plugin are made of these; they work without pytest as well.
"""

from __future__ import annotations

from ledger.testing.clock import Clock
from ledger.testing.memory import in_memory
from ledger.testing.sources import Event, Source
from ledger.testing.stories import Story, StoryError, tell

__all__ = ["Clock", "Event", "Source", "Story", "StoryError", "in_memory", "tell"]
