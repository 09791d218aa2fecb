"""The name of a cursor in one word: consumer/stream/subject, in which a slash of a name is %2F.

Most names have no slash and are written as they are. `%2F` is what URLs have for one, and no shell
changes it. A `%25` is a percent sign; only one that `2F` or `25` follows is written so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["joined", "split"]

_MISLEADING = re.compile("%(?=2F|25)", re.IGNORECASE)
_WRITTEN = re.compile("%(2F|25)", re.IGNORECASE)


def joined(names: Iterable[str]) -> str:
    """Return the names that are not empty, as one word."""
    return "/".join(_escaped(name) for name in names if name)


def split(word: str) -> list[str]:
    """Return the names in a word that `joined` returned: as many as it has slashes, and one."""
    return [_WRITTEN.sub(_read, name) for name in word.split("/")]


def _escaped(name: str) -> str:
    if "%" in name:
        name = _MISLEADING.sub("%25", name)
    return name.replace("/", "%2F")


def _read(found: re.Match[str]) -> str:
    return "%" if found[1] == "25" else "/"
