"""The tables in docs/evidence.md of what can be done, and what notices it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from support.places import TOP

SECTION = (TOP / "docs" / "evidence.md").read_text("utf-8").partition("\n## What was tried")[2]


def table(columns: Sequence[str], rows: Mapping[str, Sequence[bool | None]]) -> str:
    """Return the lines of a table as the document has them."""
    words = {True: "caught", False: "**not caught**", None: ""}
    lines = [f"| what is done | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for deed, caught in rows.items():
        cells = "".join(f" {words[each]} |" if words[each] else " |" for each in caught)
        lines.append(f"| {deed} |{cells}")
    return "\n".join(lines) + "\n"
