"""A TCP proxy that hurts a connection after an exact number of bytes."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import attrs

__all__ = ["Direction", "Proxy", "Wound", "proxied"]

Direction = Literal["to the server", "to the client"]

DELAY_S = 0.1
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST, and drops what is on the way.


@attrs.frozen
class Wound:
    """What is done to a connection after so many bytes in one direction."""

    direction: Direction
    after: int
    how: Literal["cut", "reset", "half-closed", "delayed"]


class Proxy:
    """Passes bytes on to a server; the next wound strikes one connection, once."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._wound: Wound | None = None
        self.passed: dict[Direction, int] = {"to the server": 0, "to the client": 0}
        self.struck = False
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, wound: Wound | None) -> None:
        """Count from now; strike whichever connection passes the last byte."""
        with self._lock:
            self._wound = wound
            self.passed = dict.fromkeys(self.passed, 0)
            self.struck = False

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._server)
                except OSError:
                    client.close()
                    continue
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                pair: tuple[tuple[socket.socket, socket.socket, Direction], ...] = (
                    (client, server, "to the server"),
                    (server, client, "to the client"),
                )
                with self._lock:
                    self._sockets |= {client, server}
                threads = [threading.Thread(target=self._pass, args=p, daemon=True) for p in pair]
                for thread in threads:
                    thread.start()
                threading.Thread(target=self._bury, args=(threads, client, server)).start()

    def _bury(self, threads: list[threading.Thread], *sockets: socket.socket) -> None:
        for thread in threads:
            thread.join()
        with self._lock:
            self._sockets -= set(sockets)
        for each in sockets:
            each.close()

    def _pass(self, source: socket.socket, target: socket.socket, direction: Direction) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                before, wound = self._strikes(direction, len(data))
                target.sendall(data[:before])
                if wound is not None and not self._hurt(wound, source, target):
                    return
                target.sendall(data[before:])
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _strikes(self, direction: Direction, length: int) -> tuple[int, Wound | None]:
        """Count the bytes; give how many go on unhurt, and what then strikes."""
        with self._lock:
            passed = self.passed[direction]
            self.passed[direction] += length
            wound = self._wound
            if wound is None or self.struck or wound.direction != direction:
                return length, None
            if not passed <= wound.after < passed + length:
                return length, None
            self.struck = True
            return wound.after - passed, wound

    def _hurt(self, wound: Wound, source: socket.socket, target: socket.socket) -> bool:
        """Do it; say whether the connection goes on."""
        match wound.how:
            case "delayed":
                time.sleep(DELAY_S)
                return True
            case "half-closed":  # No more in this direction; the other one stays open for a while.
                target.shutdown(socket.SHUT_WR)
                time.sleep(DELAY_S)
            case "reset":
                for each in (source, target):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            case _:
                pass
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        return False


@contextmanager
def proxied(host: str, port: int) -> Iterator[Proxy]:
    proxy = Proxy(host, port)
    try:
        yield proxy
    finally:
        proxy.close()
