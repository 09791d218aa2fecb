"""A primary that is killed, its standby promoted, and eight writers who go on by their URL."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest

import ledger
from ledger import CursorKey, StorageError
from support.servers import ELSEWHERE, Server, wheel_binaries

WRITERS = 8
ROUNDS = 10


class Pair:
    """A primary, and a standby that every commit waits for."""

    def __init__(self) -> None:
        self.primary = Server(wheel_binaries(), settings=["max_connections=60"]).make()
        self.standby = self.primary.standby()
        self.addresses = {self.primary.address, self.standby.address}
        self.make_synchronous()

    def make_synchronous(self) -> None:
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.execute("SELECT pg_reload_conf()")
        until = time.monotonic() + 30
        while self.primary.query("SELECT sync_state FROM pg_stat_replication") != [("sync",)]:
            assert time.monotonic() < until
            time.sleep(0.02)

    def fail_over(self) -> None:
        """Kill the primary, and promote the standby, which then waits for none."""
        self.primary.kill()
        self.standby.promote()
        self.standby.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        self.standby.execute("SELECT pg_reload_conf()")

    def rebuild(self) -> None:
        """Make the one that was killed a standby of the other, at its old address."""
        self.primary.remove()
        port = self.primary.port
        new = self.standby.standby(port)
        self.primary, self.standby = self.standby, new
        self.make_synchronous()

    @property
    def url(self) -> str:
        hosts = ",".join(sorted(self.addresses))
        return (
            f"postgresql://postgres@{hosts}/postgres"
            "?target_session_attrs=read-write&connect_timeout=2"
        )


@pytest.fixture
def pair() -> Iterator[Pair]:
    if ELSEWHERE:
        pytest.skip("a server of somebody else is not killed")
    pair = Pair()
    yield pair
    pair.primary.remove()
    pair.standby.remove()


@pytest.mark.slow("ten times a primary is killed and its standby rebuilt")
def test_what_was_acknowledged_survives_ten_fail_overs(pair: Pair) -> None:
    chance = random.Random(10)
    acknowledged: list[list[int]] = [[] for _ in range(WRITERS)]
    keys = [CursorKey(f"writer-{nth}", "orders") for nth in range(WRITERS)]
    failures: list[BaseException] = []
    with ledger.open(pair.url, actor="tester", busy_timeout_s=30) as book:
        for _ in range(ROUNDS):
            stop = threading.Event()

            def write(nth: int, stop: threading.Event = stop) -> None:
                try:
                    while not stop.is_set():
                        to = (acknowledged[nth] or [0])[-1] + 1
                        cursor = book.advance(keys[nth], to=to, delivery_id=f"{nth}-{to}")
                        # None is applied twice: every entry moves the cursor by one.
                        assert (cursor.version, cursor.last_sequence) == (to, to)
                        acknowledged[nth].append(to)
                except BaseException as error:  # noqa: BLE001 - whatever it is, it is looked at
                    failures.append(error)

            threads = [threading.Thread(target=write, args=(nth,)) for nth in range(WRITERS)]
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.1, 0.4))
            before = sum(map(len, acknowledged))
            pair.fail_over()
            until = time.monotonic() + 30
            while sum(map(len, acknowledged)) <= before + WRITERS and not failures:
                assert time.monotonic() < until
                time.sleep(0.02)
            stop.set()
            for thread in threads:
                thread.join()
            assert failures == []
            for nth, key in enumerate(keys):
                sequences = [entry.event.sequence for entry in book.history(key)]  # type: ignore[union-attr]
                assert sequences == acknowledged[nth]
            pair.rebuild()
        assert book.verify().ok
        assert len(acknowledged[0]) > ROUNDS


def test_a_standby_is_refused_with_what_to_do(pair: Pair) -> None:
    ledger.open(pair.primary.url).close()
    with pytest.raises(StorageError, match="target_session_attrs=read-write"):
        ledger.open(pair.standby.url)
