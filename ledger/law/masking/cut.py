"""How a text is masked and cut: no part of a secret is shown, wherever the cut is."""

from __future__ import annotations

import re

from ledger.law.masking.rules import RULES

__all__ = ["MARGIN", "MASK", "WINDOW", "masked"]

MASK = "***"
WINDOW = 6_144
"""Characters of a text that are searched."""
MARGIN = 2_048
"""Characters at the end of the window that only show how the text before them continues."""


def masked(text: str, length_max: int) -> str:
    """Return `text` with secrets as `***`, cut to `length_max` characters that end in "…".

    Masking the result again changes nothing.
    """
    kept = _masked_once(text, length_max)
    if kept is text:
        return text
    # The cut or masked text may look like another secret: repeat until nothing changes.
    for _ in range(8):
        again = _masked_once(kept, length_max)
        if again == kept:
            break
        kept = again
    return kept


def _masked_once(text: str, length_max: int) -> str:
    window = text[:WINDOW]
    places = _places(window)
    if not places and len(text) <= length_max:
        return text
    limit = len(window) if len(text) <= WINDOW else _settled(window)
    parts: list[str] = []
    at = 0
    for begin, end in places:
        if begin >= limit:
            break
        parts += (window[at:begin], MASK)
        at = end
    parts.append(window[at:limit])
    kept = "".join(parts)
    if len(kept) > length_max or len(text) > WINDOW:
        kept = kept[: length_max - 1].rstrip() + "…"
    return kept


def _places(text: str) -> list[tuple[int, int]]:
    """Return where the secrets are, in order and without overlaps."""
    # "İ" is the only letter that gets longer in lower case, which would shift all places after it.
    low = text.replace("İ", "i").lower()
    found = [
        place
        for rule in RULES
        if any(literal in low for literal in rule.literals)
        for place in rule.find(text, low)
        if text[place[0] : place[1]].strip("*…")
    ]
    found.sort()
    merged: list[tuple[int, int]] = []
    for begin, end in found:
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def _settled(window: str) -> int:
    """Return up to where the text after a window cannot change what is a secret in it.

    User info ends in an @, and a JWT has dots. A run is only shown if its end, @ or dot is in the
    margin.
    """
    limit = WINDOW - MARGIN
    if re.search(r"[\s\"'<>]", window[limit:]):
        return limit
    run = re.search(r"[^\s\"'<>]*\Z", window[:limit])
    begins = run.start() if run else limit
    starts = [at + 3 for sign in ("://", "eyJ") if (at := window.find(sign, begins, limit)) >= 0]
    return min([limit, *starts])
