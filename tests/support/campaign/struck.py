"""What runs under the recorder while its calls fail."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ledger import AdvanceCursor, FaultKind, Ledger, LedgerError
from support.campaign.workloads import KEYS, LIBRARY, advance, child, opened, told

__all__ = ["STRUCK"]

Fault = tuple[str, str, int, int, str]
"""The kind of call, the end of its file's name, the first and the last that fail, and how."""


def arm(fault: Fault) -> None:
    kind, suffix, first, last, action = fault
    LIBRARY.campaign_arm(
        ctypes.c_char(kind.encode()), suffix.encode(), first, last, action.encode()
    )


def faulted(
    folder: Path, fault: Fault, *, ends: str, before_opening: bool, beside: bool, **what: bool
) -> None:
    """Let calls fail, from before the ledger is opened or while it is; end by kill -9 or closing.

    With `beside`, another process, whose calls do not fail, appends all the time. With `reopens`,
    the file is there already, so that there is something to be read.
    """
    if what["reopens"]:
        with opened(folder, "full") as book:
            for n in range(1, 21):
                advance(book, KEYS[2], n, f"earlier-{n}")
    other = child(lambda: advances_beside(folder)) if beside else 0
    if before_opening:
        arm(fault)
    with suppress(LedgerError):
        book = opened(folder, "full")
        for n in range(1, 4):
            advance(book, KEYS[0], n, f"before-{n}")
        if not before_opening:
            arm(fault)
        strikes(book, **what)
        if ends == "close":
            book.close()
    if beside:
        assert os.waitpid(other, 0)[1] == 0
    if ends == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


def strikes(book: Ledger, *, many: bool, goes_on: bool, reopens: bool) -> None:
    if many:
        tokens = [f"struck-{n}" for n in range(200)]
        requests = [
            AdvanceCursor(KEYS[1], n, metadata={"token": token, "body": "x" * 1_000})
            for n, token in enumerate(tokens, 1)
        ]
        told(tokens, lambda: book.append(requests))
    else:
        advance(book, KEYS[0], 10, "struck")
    if goes_on:
        for n in range(11, 14):
            advance(book, KEYS[0], n, f"after-{n}")
    if reopens:
        with suppress(LedgerError):
            # Of a read that fails, SQLite may say that the file is damaged. Nobody has edited it.
            found = book.verify()
            assert {fault.kind for fault in found.faults} <= {FaultKind.DAMAGED}, found.faults


def advances_beside(folder: Path) -> None:
    with opened(folder, "full", busy_timeout_s=30) as book:
        for n in range(1, 16):
            advance(book, KEYS[2], n, f"beside-{n}")


def filled(folder: Path) -> None:
    """Append until the disk is full; make room; go on."""
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(1 << 19))
    with opened(folder, "full") as book:
        refused = 0
        for n in range(1, 4_000):
            token = f"filling-{n}"
            before = refused

            def work(n: int = n, token: str = token) -> None:
                nonlocal refused
                refused += 1
                metadata = {"token": token, "body": "x" * 2_000}
                book.advance(KEYS[n % 3], to=n, metadata=metadata)
                refused -= 1

            told([token], work)
            if refused > before and refused > 5:
                break
        assert refused, "the disk was never full"
        ballast.unlink()
        for n in range(5_000, 5_005):
            advance(book, KEYS[n % 3], n, f"room-{n}")


STRUCK: dict[str, Callable[..., None]] = {"faulted": faulted, "filled": filled}
