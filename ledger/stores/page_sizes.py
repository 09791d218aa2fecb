"""How many rows are asked for at once."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["PAGE_PLACES", "PAGE_ROWS_FIRST", "page_sizes"]

# The first page is short, for callers that want just a few.
PAGE_ROWS_FIRST = 64
# A move is small, and its cursor is looked up once a page.
PAGE_PLACES = 4_096


def page_sizes(limit: int, rows_first: int, rows_max: int) -> Iterator[int]:
    """Return the sizes of pages to ask for, `limit` rows in all; without end if it is 0."""
    asked, rows = 0, rows_first
    while not limit or asked < limit:
        yield min(rows, limit - asked) if limit else rows
        asked, rows = asked + rows, min(rows * 4, rows_max)
