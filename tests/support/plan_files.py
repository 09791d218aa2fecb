"""Plans in files: how one is exported, and how others are sealed."""

from __future__ import annotations

import json

from projections.resets import plan_files

EXPORT = ("reset", "--stream", "orders", "--by", "-2", "--reason", "lost", "--meta", "ticket=OPS-1")


def sealed(header: str, *resets: object) -> list[str]:
    """Seal other resets under a header, as only somebody who means to would."""
    said = json.loads(header)
    for name in ("format", "digest", "resets"):
        del said[name]
    return plan_files.seal(said, resets)
