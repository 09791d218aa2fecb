"""Where a value ends: at its closing quote of any kind, or at the end of a word."""

from __future__ import annotations

import re

__all__ = ["Ends", "quoted", "word"]

_ESCAPED_QUOTE = re.compile(r"""\\{1,8}["']""")
_DOUBLE = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_SINGLE = re.compile(r"""'(?:[^'\\]|\\.|''(?=[^\s,;)}\]]))*+'?""", re.DOTALL)
_CURLY = {"“": "”", "„": "“”", "‘": "’", "‚": "‘’", "«": "»", "‹": "›", "「": "」", "`": "`"}
# The character that ends a word may be a part of a password: a comma ends it only before a space or
# a name.
_WORD = re.compile(
    r"""(?:
          [^\s"'`&,;)}\]<>\\“”]
        | [&,;](?!\s|$|amp;|[\w.%-]{1,40}\s?[=:])
        | [)}\]](?![\s.,;:)}\]"'&]|$)
        | ["'`](?=\w)
        | \\(?!["'])
        | [<>](?![\s/"'a-z]|$)
        )++""",
    re.VERBOSE,
)


class Ends:
    """Where words and lines end; a start within the last one is not scanned again."""

    def __init__(self, low: str) -> None:
        self.low = low
        self.last: dict[re.Pattern[str], tuple[int, int]] = {}

    def of(self, pattern: re.Pattern[str], begin: int) -> int:
        """Return where `pattern` ends; it must match each end of what it matches."""
        start, end = self.last.get(pattern, (0, 0))
        if not start <= begin < end:
            match = pattern.match(self.low, begin)
            end = match.end() if match else begin
            self.last[pattern] = begin, end
        return end


def word(ends: Ends, begin: int) -> int:
    """Return where a value without quotes ends."""
    return ends.of(_WORD, begin)


def quoted(low: str, begin: int) -> tuple[int, int] | None:
    """Return the place of the quotes that open here; unclosed ones end with the line."""
    at = begin
    if low.startswith(("b'", 'b"', "r'", 'r"', "u'", 'u"', '@"', "n'"), at):
        at += 1
    first = low[at : at + 1]
    if first in {'"', "'"}:
        match = (_DOUBLE if first == '"' else _SINGLE).match(low, at)
        end = match.end() if match else at + 1
        if end - at < 2 or low[end - 1] != first:
            line = low.find("\n", at)
            end = len(low) if line < 0 else line
        return begin, end
    if first == "\\" and (mark := _ESCAPED_QUOTE.match(low, at)):
        at = mark.end()
        while (closing := low.find(mark[0], at)) >= 0 and low[closing - 1] == "\\":
            at = closing + len(mark[0])
        return begin, len(low) if closing < 0 else closing + len(mark[0])
    if first in _CURLY:
        ends = [end for sign in _CURLY[first] if (end := low.find(sign, at + 1)) >= 0]
        return begin, min(ends) + 1 if ends else len(low)
    return None
