"""How a connection of our own is made, and set as durability and safety need it."""

from __future__ import annotations

from ledger import notices
from ledger.stores.postgres.address import OWN_PATH, Address
from ledger.stores.postgres.fitness import STRINGS
from ledger.stores.postgres.homes import NULLS
from ledger.stores.postgres.pooling import Connection
from ledger.stores.postgres.reading import settle_types
from ledger.stores.postgres.sharing import SharedAddress
from ledger.stores.postgres.statements import catalog

__all__ = ["Connecting"]


class Connecting:
    """Makes connections to one server, or to several of which one can be written to."""

    def __init__(
        self, address: Address | SharedAddress, *, durability: str, busy_timeout_s: float
    ) -> None:
        self._address = address
        self._server = ""
        self._settings = "; ".join(
            [
                f"SET lock_timeout = {int(busy_timeout_s * 1_000) or 1}",
                "SET default_transaction_isolation = 'read committed'",
                # A database may have them otherwise, for programs of long ago: see fitness.py.
                *(f"SET {name} = on" for name in (STRINGS, NULLS)),
                # What is durable by the server's settings, and perhaps on its standbys, stays so.
                "SET synchronous_commit = off"
                if durability == "normal"
                else "SELECT pg_catalog.set_config('synchronous_commit', 'on', false)"
                f" WHERE pg_catalog.current_setting('synchronous_commit') {catalog('=')} 'off'",
            ]
        ).encode()

    def connected(self) -> Connection:
        """Return a new connection, which is set."""
        connection = self._address.connect()
        try:
            self.configure(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def configure(self, connection: Connection) -> None:
        """Set a new connection, and report it when it is to another server than the last one."""
        self._notice_server(connection)
        settle_types(connection)
        connection.execute(OWN_PATH, prepare=False)
        connection.execute(self._settings, prepare=False)

    def _notice_server(self, connection: Connection) -> None:
        place = self._address.place
        server, before = f"{connection.info.host}:{connection.info.port}", self._server
        notices.CONNECTED.report(place=place, server=server)
        if before and server != before:
            notices.FAILED_OVER.report(place=place, server=server, before=before)
        self._server = server
