"""An HTTP receiver in a process of its own: it writes down what arrives, fails and hangs.

    python receiver.py LOG SEED ANSWERS_WITHIN_S

Each answer takes up to so many seconds. It prints its port. Each line of the log is one arrival,
written before it is answered. While there is a file LOG.held, nothing is answered.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAILS = 0.1
HANGS = 0.01
HANG_S = 1.2


class Receiver(ThreadingHTTPServer):
    """Answers 204, fails one in ten with 503, and sometimes answers too late to be heard."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, log: str, seed: int, answers_within_s: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._held = f"{log}.held"
        self._chance = random.Random(seed)
        self._answers_within_s = answers_within_s
        self._lock = threading.Lock()

    def receive(self, said: dict[str, object]) -> str:
        """Write down an arrival and how it is answered, after some time."""
        with self._lock:
            chance, wait_s = self._chance.random(), self._chance.uniform(0, self._answers_within_s)
        answer = "503" if chance < FAILS else "late" if chance < FAILS + HANGS else "204"
        time.sleep(wait_s)
        while os.path.exists(self._held):  # noqa: PTH110 - often, by many threads
            time.sleep(0.005)
        with self._lock:
            line = json.dumps({**said, "answer": answer, "answered": time.time()})
            os.write(self._log, line.encode() + b"\n")
        return answer

    def handle_error(self, *_: object) -> None:
        """Print nothing: the sender may be dead, or may wait no longer."""


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        body = self.rfile.read(size)
        if len(body) < size:
            return  # The sender was killed while it sent this.
        answer = self.server.receive(json.loads(body))
        if answer == "late":
            time.sleep(HANG_S)
        self.send_response(503 if answer == "503" else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the terminal clean."""


if __name__ == "__main__":
    with Receiver(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])) as receiver:
        print(receiver.server_address[1], flush=True)
        receiver.serve_forever()
