"""What the tables of every database hold alike: tags named by number, and the row of an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ledger.law.events import CursorAdvanced, CursorReset, CursorStarted, ErrorRecorded
from ledger.log.columns import CONTENT, ENTRY, KEY
from ledger.log.rows import TAGS, Content, Row

__all__ = ["ENTRY_NAMES", "START_ID", "TAG_IDS", "event_row", "has_start"]

TAG_IDS: Mapping[str, int] = {
    TAGS[CursorAdvanced]: 1,
    TAGS[CursorReset]: 2,
    TAGS[ErrorRecorded]: 3,
    TAGS[CursorStarted]: 4,
}
"""The ids of the tags, as the schemas have them in `ledger_tags`."""

START_ID = TAG_IDS[TAGS[CursorStarted]]
"""Not there in a ledger that an older version made, until an entry needs it."""

ENTRY_NAMES = tuple(
    f"{'c' if name in KEY.names else 't' if name == 'tag' else 'e'}.{name}" for name in ENTRY.names
)
"""The columns of an entry, of an event `e`, its cursor `c` and its tag `t`."""

_TAG = CONTENT.place("tag")
_START = TAGS[CursorStarted]
_BEFORE_TAG = slice(len(KEY), _TAG)
_AFTER_TAG = slice(_TAG + 1, None)


def has_start(contents: Iterable[Content]) -> bool:
    """Say whether one of `contents` starts a cursor."""
    return any(content[_TAG] == _START for content in contents)


def event_row(cursor_id: int | None, content: Content, digest: bytes) -> Row:
    """Return the row of an entry without its position, in the order of `EVENT`."""
    return (
        cursor_id,
        *content[_BEFORE_TAG],
        TAG_IDS[content[_TAG]],
        *content[_AFTER_TAG],
        digest,
    )
