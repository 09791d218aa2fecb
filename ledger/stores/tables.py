"""What the tables of every database hold alike: tags named by number, and the row of an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ledger.log import tags
from ledger.log.columns import CONTENT, ENTRY, KEY, Row

if TYPE_CHECKING:
    from ledger.log.rows import Content

__all__ = ["ENTRY_NAMES", "START_ID", "TAG_IDS", "event_row", "has_start"]

TAG_IDS: Mapping[str, int] = {
    tags.ADVANCED: 1,
    tags.RESET: 2,
    tags.ERROR: 3,
    tags.STARTED: 4,
}
"""The ids of the tags, as the schemas have them in `ledger_tags`."""

START_ID = TAG_IDS[tags.STARTED]
"""Not there in a ledger that an older version made, until an entry needs it."""

ENTRY_NAMES = tuple(
    f"{'c' if name in KEY.names else 't' if name == 'tag' else 'e'}.{name}" for name in ENTRY.names
)
"""The columns of an entry, of an event `e`, its cursor `c` and its tag `t`."""

_TAG = CONTENT.place("tag")
_BEFORE_TAG = slice(len(KEY), _TAG)
_AFTER_TAG = slice(_TAG + 1, None)


def has_start(contents: Iterable[Content]) -> bool:
    """Return whether one of `contents` starts a cursor."""
    return any(content[_TAG] == tags.STARTED for content in contents)


def event_row(cursor_id: int | None, content: Content, digest: bytes) -> Row:
    """Return the row of an entry without its position, in the order of `EVENT`."""
    return (
        cursor_id,
        *content[_BEFORE_TAG],
        TAG_IDS[content[_TAG]],
        *content[_AFTER_TAG],
        digest,
    )
