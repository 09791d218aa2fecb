"""Secrets in texts that are kept for ever: what is recognised, and how it is masked.

`RULES` is the whole list; docs/masking.md explains it, and a test compares the two. A rule runs
only if one of its literals is in the text. Its repeats are bounded or possessive, so the cost grows
linearly with the length of the text, and only the beginning of a long text is searched.

This package is imported when the first error is recorded, because compiling its patterns takes
some milliseconds.
"""

from __future__ import annotations

from ledger.law.masking.cut import MARGIN, MASK, WINDOW, masked
from ledger.law.masking.rules import RULES, Rule

__all__ = ["MARGIN", "MASK", "RULES", "WINDOW", "Rule", "masked"]
