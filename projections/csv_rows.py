"""CSV that people and tools hand over: read strictly, so that nothing of a row is lost."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator

from ledger import InvalidCursorError

__all__ = ["csv_rows"]


def csv_rows(
    text: str, refused: Callable[[int, str], InvalidCursorError]
) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, trimmed, with the number of its last line from 1.

    `refused` makes the refusal from a line and what is wrong there: what is no CSV, or has more or
    fewer cells than the first row.

    Raises what `refused` returns.
    """
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    width = 0
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            width = width or len(cells)
            if len(cells) != width:
                raise refused(rows.line_num, f"it has {len(cells)} cells, not {width}.")
            yield rows.line_num, cells
    except csv.Error as error:
        raise refused(rows.line_num, f"it is not CSV: {error}.") from None
