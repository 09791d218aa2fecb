"""The text of a bundle of evidence: lines of JSON, each of which can be written in one way only.

A bundle is a signed note and entries under it. The first line has the note, each line behind it an
entry with the digest that it follows, and the last one says how many there were. An entry stands
there as the very text that its digest covers. What is read is distrusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import IO, Any

import attrs

from ledger.errors import InvalidCursorError, UnprovenError
from ledger.evidence.digests import GENESIS
from ledger.evidence.keys import decoded, encoded
from ledger.evidence.paths import HASHES_MAX
from ledger.log.text import dumps, loads

__all__ = [
    "FORMAT_NAME",
    "LINE_BYTES_MAX",
    "EvidenceKind",
    "Header",
    "Line",
    "end_line",
    "numbered",
    "read_end",
]

FORMAT_NAME = "cursor-ledger-evidence/1"

LINE_BYTES_MAX = 2_000_000
"""A longer line is not read. An entry that the ledger takes has at most some 80,000 bytes."""


class EvidenceKind(StrEnum):
    """What a bundle of evidence has in it, and so what it proves.

    >>> import ledger
    >>> ledger.EvidenceKind("complete")
    <EvidenceKind.COMPLETE: 'complete'>
    """

    COMPLETE = "complete"
    """All entries under its note: it proves that nothing is left out."""
    SELECTED = "selected"
    """Some of them: it proves that they are there, and nothing about those that it leaves out."""


@attrs.frozen(kw_only=True)
class Header:
    """The first line: the note, and for selected entries that it only grew since an older one."""

    kind: EvidenceKind
    note: str
    since: str | None = None
    growth: tuple[bytes, ...] = ()

    @classmethod
    def parse(cls, line: bytes) -> Header:
        """Return the header that a line is. Raises UnprovenError."""
        try:
            said: Any = loads(line.decode())
        except (UnicodeDecodeError, InvalidCursorError):
            said = None
        if not isinstance(said, dict) or said.get("format") != FORMAT_NAME:
            raise UnprovenError(f"it is no bundle of evidence: it does not begin as {FORMAT_NAME}.")
        kind, note, since = said.get("kind"), said.get("note"), said.get("since")
        growth = said.get("growth", [])
        if (
            kind not in list(EvidenceKind)
            or not isinstance(note, str)
            or not (since is None or (isinstance(since, str) and kind == EvidenceKind.SELECTED))
            or not isinstance(growth, list)
        ):
            raise UnprovenError("it has no kind and note that a bundle can have.")
        found = cls(
            kind=EvidenceKind(kind), note=note, since=since, growth=_hashes(growth, "growth")
        )
        try:
            own = found.line
        except UnicodeEncodeError:
            own = b""
        if own != line:
            raise UnprovenError("it is not written as cursor-ledger evidence writes it.")
        return found

    @property
    def line(self) -> bytes:
        """Return the line."""
        said: dict[str, object] = {
            "format": FORMAT_NAME,
            "kind": self.kind.value,
            "note": self.note,
        }
        if self.since is not None:
            said |= {"since": self.since, "growth": [*map(encoded, self.growth)]}
        return _bounded(dumps(said).encode() + b"\n")


@attrs.frozen
class Line:
    """An entry in a bundle.

    `index` counts the entries before it, `previous` is the digest that it follows, and `text` are
    the bytes that its digest covers behind that. A selected entry has its `path` in the tree. An
    archive has the `position` of an entry that does not come next to that of the one before it.
    """

    index: int
    previous: bytes
    text: bytes
    path: tuple[bytes, ...] | None = None
    position: int | None = None

    @classmethod
    def parse(cls, line: bytes, kind: EvidenceKind) -> Line:
        """Return the entry in a line of a bundle of this kind. Raises UnprovenError."""
        found = _LINE.fullmatch(line)
        if found is None:
            raise UnprovenError("it is no entry as cursor-ledger evidence writes it.")
        index, position, path, previous, text = found.groups()
        if (path is None) != (kind is EvidenceKind.COMPLETE):
            has = "no path" if path is None else "a path"
            raise UnprovenError(f"it has {has}, unlike an entry of a {kind} bundle.")
        return cls(
            int(index),
            bytes.fromhex(previous.decode()),
            text,
            None if path is None else _hashes(path.decode().split(",") if path else [], "path", 1),
            None if position is None else int(position),
        )

    @property
    def line(self) -> bytes:
        """Return the line."""
        path = "" if self.path is None else f'"path":{dumps([*map(encoded, self.path)])},'
        position = "" if self.position is None else f'"position":{self.position},'
        before = f'"previous":"{self.previous.hex()}"'
        head = f'{{"index":{self.index},{position}{path}{before},"entry":'
        return _bounded(head.encode() + self.text + b"}\n")


def end_line(entries: int) -> bytes:
    """Return the last line, which says how many entries there were."""
    return b'{"end":%d}\n' % entries


def read_end(line: bytes) -> int | None:
    """Return how many entries the last line counts; None if it is another line."""
    found = _END.fullmatch(line)
    return int(found[1]) if found else None


def numbered(lines: Iterable[bytes] | IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Return each line with its number, from 1; of a file, never more than a bound at once.

    Raises UnprovenError for a line that is too long, or has no end.
    """
    readline = getattr(lines, "readline", None)
    each: Iterable[Any] = lines if readline is None else iter(lambda: readline(_TOO_LONG), b"")
    for number, line in enumerate(each, 1):
        if not isinstance(line, bytes):
            raise InvalidCursorError(
                f"lines must be bytes, not {type(line).__name__}: open the file as 'rb'."
            )
        if len(line) > LINE_BYTES_MAX:
            raise UnprovenError(
                f"line {number:,}: it has more than {LINE_BYTES_MAX:,} bytes; no line is so long."
            )
        if not line.endswith(b"\n") or line.count(b"\n") > 1:
            raise UnprovenError(f"line {number:,}: it is not one line with an end; it was cut off.")
        yield number, line


_NUMBER = rb"(0|[1-9][0-9]{0,18})"
_BASE64 = rb'"[A-Za-z0-9+/=]{44}"'
_LINE = re.compile(
    rb'\{"index":%b,(?:"position":%b,|"path":\[((?:%b(?:,%b)*)?)\],)?'
    rb'"previous":"([0-9a-f]{64})","entry":(\[.*\])\}\n' % (_NUMBER, _NUMBER, _BASE64, _BASE64),
    re.DOTALL,
)
_END = re.compile(rb'\{"end":%b\}\n' % _NUMBER)
_TOO_LONG = LINE_BYTES_MAX + 1


def _hashes(texts: Sequence[object], name: str, quotes: int = 0) -> tuple[bytes, ...]:
    if len(texts) > HASHES_MAX:
        raise UnprovenError(f"its {name} has {len(texts)} hashes, and no tree is so high.")
    found = []
    for text in texts:
        one = decoded(text[quotes : len(text) - quotes]) if isinstance(text, str) else None
        if one is None or len(one) != len(GENESIS):
            raise UnprovenError(f"its {name} has {text!r:.60}, which is no hash in base64.")
        found.append(one)
    return tuple(found)


def _bounded(line: bytes) -> bytes:
    if len(line) > LINE_BYTES_MAX:
        raise UnprovenError(
            f"a line of the bundle would have {len(line):,} bytes, more than the "
            f"{LINE_BYTES_MAX:,} that are read."
        )
    return line
