"""Entries as text that is kept, or that others read: JSON lines, CloudEvents, CSV.

JSON lines are those of `entries --jsonl`, byte for byte, and what `import` reads. CloudEvents are
https://github.com/cloudevents/spec, version 1.0, in its JSON format, one a line, with the extension
`sequence`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from ledger.errors import invalid
from ledger.evidence.merkle import Checkpoint, Tree
from ledger.law.events import Entry
from ledger.log.plain import unstructure
from ledger.log.text import dumps, show_time, visible_json

__all__ = ["Exported", "checked_source", "cloud_event", "json_line"]

# RFC 3986, appendix A: what a URI or a relative reference is written with.
_URI = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
# Texts of equal length are in the order of their numbers: 2**63 - 1 has 19 digits.
_SEQUENCE_DIGITS = 19

Plain = Callable[[Entry], Any]


def json_line(entry: Entry, plain: Plain = unstructure) -> str:
    """Return an entry as one line of JSON, with its end."""
    return f"{visible_json(dumps(plain(entry)))}\n"


def cloud_event(entry: Entry, source: str, plain: Plain = unstructure) -> str:
    """Return an entry as one CloudEvent, a line of JSON with its end.

    Its `id` is the digest of the entry, so it is the same in every copy of the ledger.
    """
    data = plain(entry)
    event = {
        "specversion": "1.0",
        "id": entry.digest.hex(),
        "source": source,
        "type": data["event"]["tag"],
        "subject": str(entry.key),
        "time": show_time(entry.recorded_at),
        "datacontenttype": "application/json",
        "sequence": f"{entry.position:0{_SEQUENCE_DIGITS}d}",
        "data": data,
    }
    return f"{visible_json(dumps(event))}\n"


def checked_source(source: str) -> str:
    """Return `source` if it can be that of a CloudEvent: a URI, or a relative reference.

    Raises InvalidCursorError.
    """
    if not _URI.fullmatch(source):
        said = f"{source!r:.80}"
        raise invalid(
            "source", f"must be a URI, such as https://example.com/orders, not {said}.", value=said
        )
    return source


@attrs.define
class Exported:
    """What was exported so far: how many entries, the last one, and the tree over all of them."""

    entries: int = 0
    last: Entry | None = None
    _tree: Tree = attrs.field(factory=Tree)

    def counted(self, entries: Iterable[Entry]) -> Iterable[Entry]:
        """Yield `entries`, and count them."""
        for entry in entries:
            yield entry
            self.entries += 1
            self.last = entry
            self._tree.add(entry.position, entry.digest)

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint over what was exported; the ledger's, if that is its beginning."""
        return self._tree.checkpoint()
