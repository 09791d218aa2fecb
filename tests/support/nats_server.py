"""A NATS server with JetStream, out of a wheel: it is killed, and started again where it was."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["COMMAND", "NatsServer", "nats_server"]

COMMAND = Path(sys.executable).with_name("nats-server")
STARTS_WITHIN_S = 30


class NatsServer:
    """One server on one port, whose streams are in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = _free_port()
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        where = ("-a", "127.0.0.1", "-p", str(self._port))
        log = ("-l", str(self._folder / "log.txt"))
        self._running = subprocess.Popen([COMMAND, "-js", "-sd", self._folder, *where, *log])
        until = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            assert self._running.poll() is None, (self._folder / "log.txt").read_text()
            assert time.monotonic() < until
            time.sleep(0.01)

    def kill(self) -> None:
        """End it as a power cut would end it: it can tell nobody."""
        assert self._running is not None
        self._running.send_signal(signal.SIGKILL)
        assert self._running.wait() == -signal.SIGKILL

    def stop(self) -> None:
        if self._running is not None:
            self._running.kill()
            self._running.wait()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False


@contextmanager
def nats_server(folder: Path) -> Iterator[NatsServer]:
    """Run a server until the end of the block."""
    folder.mkdir()
    server = NatsServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert isinstance(port, int)
    return port
