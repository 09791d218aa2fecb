"""The JSON that digests are made of, written by orjson where it is installed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from ledger.log.text import dumps

__all__ = ["Flat", "dumps_flat"]

Flat: TypeAlias = str | int | dict[str, str] | None


def dumps_flat(values: Sequence[Flat]) -> bytes:
    """Return `values` as UTF-8 JSON: the bytes of `dumps`, from orjson if it is installed.

    The types matter, because orjson writes others in its own way (a NaN as null, where our own
    encoder refuses it), and they are not checked here, because that would take as long as the
    encoding. What orjson refuses, which is an integer beyond 64 bits or a lone surrogate, our own
    encoder writes or refuses.

    Raises UnicodeEncodeError for a lone surrogate, TypeError for what JSON has no form of.
    """
    if _fast is not None:
        try:
            return _fast(values)
        except TypeError:
            pass
    return dumps(values).encode()


def _fast_encoder() -> Callable[[object], bytes] | None:
    """Return orjson's encoder, or None if it is missing or writes one of the samples otherwise."""
    try:
        with _uninterrupted():
            import orjson
    except ImportError:
        return None
    if orjson.dumps(_SAMPLES) != dumps(_SAMPLES).encode():
        return None
    return orjson.dumps


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put off a Ctrl-C. orjson ends the process by a fault if one comes while it is imported."""
    try:
        before = signal.getsignal(signal.SIGINT)
        came = list[int]()
        if before is not None:
            signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    except ValueError:  # Only the main thread is interrupted, or may say how.
        yield
        return
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


# A digest must not depend on which encoder was installed, nor on a later version of it.
_SAMPLES: list[Flat] = [
    None,
    0,
    -(2**63),
    2**63 - 1,
    "",
    "".join(map(chr, range(0x100))),
    "/ \u2028 \u2029 \ufeff \ufffd \uffff \U0001f600 \U0010ffff e\u0301",
    {"": "", '"\\\b\f\n\r\t': "\x00\x1f\x7f\x80"},
]

_fast = _fast_encoder()
