"""What is shown where the output cannot encode it: `->` for an arrow, `x` for a times sign."""

from __future__ import annotations

import codecs
import io
import sys

__all__ = ["encodable", "encodes_all", "fall_back", "taken"]

_HANDLER = "cursor-ledger-plain"
_CODEC = "cursor_ledger_ascii"
_PLAIN = {"…": "...", "→": "->", "×": "x", "–": "-", "—": "-", "±": "+/-"}


def fall_back() -> None:
    """Let standard output write what its encoding lacks in plain letters, or escaped."""
    out = sys.stdout
    # In the locale C, Python lets through what came in as bytes that are no text.
    if not isinstance(out, io.TextIOWrapper) or out.errors not in {"strict", "surrogateescape"}:
        return
    codecs.register_error(_HANDLER, _plainly)
    out.reconfigure(encoding=taken(out.encoding), errors=_HANDLER)


def taken(encoding: str) -> str:
    """Return the encoding under a name that click takes for meant.

    It takes ASCII for a mistake, and would write UTF-8 to a terminal that shows none.
    """
    if codecs.lookup(encoding).name != "ascii":
        return encoding
    codecs.register(_codec)
    return _CODEC


def encodes_all() -> bool:
    """Return whether standard output can show every character."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")


def encodable(text: str) -> str:
    """Return `text` as standard output shows it."""
    if text.isascii() or encodes_all():
        return text
    encoding = sys.stdout.encoding
    return text.encode(encoding, sys.stdout.errors or "backslashreplace").decode(encoding)


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_PLAIN.get(one) or _drawn(one) or _escaped(one) for one in missing), error.end


def _drawn(character: str) -> str:
    """Return what stands for a character that lines and blocks are drawn with."""
    if "\u2500" <= character <= "\u257f":
        return {"─": "-", "│": "|"}.get(character, "+")
    return "*" if "\u2580" <= character <= "\u259f" else ""


def _escaped(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode("ascii")


def _codec(name: str) -> codecs.CodecInfo | None:
    if name != _CODEC:
        return None
    ascii_ = codecs.lookup("ascii")
    return codecs.CodecInfo(
        ascii_.encode,
        ascii_.decode,
        streamreader=ascii_.streamreader,
        streamwriter=ascii_.streamwriter,
        incrementalencoder=ascii_.incrementalencoder,
        incrementaldecoder=ascii_.incrementaldecoder,
        name=_CODEC,
    )
