"""The file of a plan: JSON lines under a seal, so that what was planned is what is read.

The first line is a header: the format, the digest, and what was said of the plan as a whole. Each
line after it is one reset. The digest is the SHA-256 of all the lines, that of the header without
the digest. It shows that a file was edited, cut or damaged. It is not a signature: whoever means to
deceive can compute it again, which is why the log keeps the digest of the plan that was applied.

A plan that leaves out cursors has another format, and so has one that expires. A version that does
not know of them refuses it, instead of showing less than was planned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ledger import InvalidCursorError
from ledger.log.text import dumps, loads

__all__ = ["FORMAT", "LINE_BYTES_MAX", "seal", "unseal"]

FORMAT = "cursor-ledger-plan/1"
LEFT_OUT_FORMAT = "cursor-ledger-plan/2"
"""The format of a plan whose header has `left_out`."""
EXPIRING_FORMAT = "cursor-ledger-plan/3"
"""The format of a plan whose header has `expires_at`; it may have `left_out`."""

_FORMATS = (FORMAT, LEFT_OUT_FORMAT, EXPIRING_FORMAT)

LINE_BYTES_MAX = 67_108_864
"""A longer line is not read: the first one names the cursors that were left out."""

_ADVICE = "Plan the reset again with --export, or ResetPlan.save, and look at the new plan."


def seal(header: Mapping[str, object], resets: Sequence[object]) -> list[str]:
    """Return the lines of a plan: its header with the digest, then each of its resets."""
    lines = [dumps(reset) for reset in resets]
    said = {"format": _format(header), **header, "resets": len(lines)}
    return [_sealed(said, _digest(said, lines)), *lines]


def unseal(lines: Iterable[str | bytes]) -> tuple[dict[str, Any], list[object], str]:
    """Return the header, the resets and the digest of lines that nobody has changed.

    Raises InvalidCursorError if somebody has, or if it is not a plan.
    """
    # What else a line may end in is a change.
    texts = [_text(line).removesuffix("\n") for line in lines]
    if not texts:
        raise InvalidCursorError(f"the plan is empty. {_ADVICE}")
    header = _header(texts[0])
    said = dict(header)
    digest = said.pop("digest", None)
    try:
        unchanged = (digest, texts[0]) == (_digest(said, texts[1:]), _sealed(said, digest))
    except (ValueError, RecursionError):
        unchanged = False  # No header has a number that is none, or is so deep.
    if not unchanged or said.get("resets") != len(texts) - 1:
        raise InvalidCursorError(
            f"the plan was changed since it was planned: its lines are not those that its digest "
            f"was made of. {_ADVICE}"
        )
    del said["format"], said["resets"]
    return said, [loads(text) for text in texts[1:]], str(digest)


def _header(line: str) -> dict[str, Any]:
    try:
        header = loads(line)
    except InvalidCursorError as error:
        raise InvalidCursorError(
            f"line 1 is not the header of a plan: {error}. {_ADVICE}"
        ) from None
    if isinstance(header, dict) and "key" in header and "format" not in header:
        raise InvalidCursorError(
            "the plan has no seal, so nobody can say whether it was changed since it was planned: "
            f"an older version wrote it, or it is what reset printed. {_ADVICE}"
        )
    if not isinstance(header, dict) or not isinstance(header.get("format"), str):
        raise InvalidCursorError(f"line 1 is not the header of a plan. {_ADVICE}")
    if header["format"] not in _FORMATS:
        *others, last = _FORMATS
        raise InvalidCursorError(
            f"the plan is of the format {header['format']!r:.80}; this version reads "
            f"{', '.join(others)} and {last}."
        )
    return header


def _format(header: Mapping[str, object]) -> str:
    if "expires_at" in header:
        return EXPIRING_FORMAT
    return LEFT_OUT_FORMAT if "left_out" in header else FORMAT


def _sealed(said: Mapping[str, object], digest: object) -> str:
    """Return the line of a header: the digest stands behind the format."""
    return dumps({"format": said["format"], "digest": digest, **said})


def _digest(said: Mapping[str, object], lines: Sequence[str]) -> str:
    whole = [dumps(said), *lines]
    return hashlib.sha256(
        "".join(f"{line}\n" for line in whole).encode(errors="surrogatepass")
    ).hexdigest()


def _text(line: str | bytes) -> str:
    if len(line) > LINE_BYTES_MAX:
        raise InvalidCursorError(
            f"the plan has a line of more than {LINE_BYTES_MAX:,} bytes, as no plan has. {_ADVICE}"
        )
    try:
        return line if isinstance(line, str) else line.decode()
    except UnicodeDecodeError:
        raise InvalidCursorError(f"the plan is not UTF-8. {_ADVICE}") from None
