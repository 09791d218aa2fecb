"""The code that a guide shows, so that what is tested is what people copy."""

from __future__ import annotations

import re
from types import SimpleNamespace

from support.places import TOP

__all__ = ["code_of"]

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def code_of(guide: str, block: int = 0) -> SimpleNamespace:
    """Return the names that a block of Python of `docs/` defines; the first block is number 0."""
    text = (TOP / "docs" / guide).read_text("utf-8")
    names: dict[str, object] = {"__name__": guide}
    exec(compile(BLOCK.findall(text)[block], guide, "exec"), names)
    return SimpleNamespace(**names)
