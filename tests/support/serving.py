"""Programs of a guide that serve, in a folder of their own, as processes that are asked to end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.places import TOP

__all__ = ["WAIT_S", "answers", "free_port", "served", "until"]

WAIT_S = 60


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def served(command: list[str], folder: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server; in the end, ask it to end, and expect that it does."""
    environ = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{TOP}", **more}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT_S)
    except BaseException:
        print((folder / "log").read_text("utf-8"))
        raise
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
