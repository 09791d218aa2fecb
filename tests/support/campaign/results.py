"""What came of a fault that was tried so and so often."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["Result", "table"]

SHOWN_MAX = 20


@attrs.define
class Result:
    """`lost` counts trials that lost what was acknowledged; `broken` says what else was wrong."""

    fault: str
    times: int = 0
    lost: int = 0
    broken: list[str] = attrs.field(factory=list)
    note: str = ""
    may_lose: bool = False

    @property
    def holds(self) -> bool:
        return not self.broken and (self.may_lose or not self.lost)

    def breaks(self, where: str, what: object) -> None:
        self.broken.append(f"{where}: {what}")

    def check(self) -> None:
        """Fail, and say where, if a promise was broken."""
        shown = "\n".join(self.broken[:SHOWN_MAX])
        assert self.times, f"{self.fault}: nothing was tried"
        assert self.holds, f"{self.fault}: {self.times} times, {self.lost} lost\n{shown}"


def table(results: Mapping[str, Result]) -> str:
    rows = [("name", "fault", "times", "lost", "broken", "note")]
    rows += [
        (name, r.fault, f"{r.times:,}", f"{r.lost:,}", f"{len(r.broken):,}", r.note)
        for name, r in results.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
