"""What the rooms of tests share: the stores that a test is run on, a clock, a ledger, a command."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import settings

import ledger
from ledger import Ledger
from projections.cli import main
from support.clock import Clock
from support.commands import Run
from support.depth import DEPTH
from support.lengths import LIST, LISTED_S, LONG_S, Stopwatch, function_of, long_tests
from support.servers import ELSEWHERE, kinds, shared_by_processes
from support.targets import close_connections, drop_targets, new_target

# A shell that runs the tests in the background has them ignore this, and so would their children.
signal.signal(signal.SIGINT, signal.default_int_handler)

leave = subprocess.Popen.__exit__


def end(process: subprocess.Popen[str], failed: type[BaseException] | None, *rest: Any) -> None:
    """Leave the block of a process; kill it if the block fails, because it may never end then."""
    if failed is not None:
        process.kill()
    leave(process, failed, *rest)


subprocess.Popen.__exit__ = end  # type: ignore[method-assign,assignment]

# The stores of a room; a module elsewhere names its own, as in STORES = "every".
ROOMS = {"contract": "every", "postgres": "postgres"}

SLOW_TIMEOUT_S = 1_200

# What cleans up after a test that has been too slow is given this long, twice as long at most.
CLEANING_S = 60.0

servers = pytest.StashKey[AbstractContextManager[None]]()
errors = pytest.StashKey[int]()
clock_ends = pytest.StashKey[float]()

begun: set[str] = set()
"""The modules of which a test has been run in this process."""


# --- how deep a run goes, and what its processes share ---


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all",
        action="store_true",
        help="run everything: slow tests, all examples, each program a process of its own",
    )
    parser.addoption("--fast", action="store_true", help="leave out what needs a server, or time")
    parser.addoption(
        "--measure",
        action="store_true",
        help="run all but the slow tests, and write down which of them take long",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow(reason): runs only with --all, or by its own name")
    config.addinivalue_line("markers", "makes_ledgers: its target has no ledger yet")
    config.addinivalue_line("markers", "on_postgres: needs a server (set by conftest.py)")
    # Until all tests are collected, nothing is garbage.
    gc.disable()
    # Modules of tests ask for it while they are imported.
    os.environ[DEPTH] = "all" if config.getoption("--all") else "quick"
    # While a test runs, number 2 is another file.
    config.stash[errors] = os.dup(2)
    if not hasattr(config, "workerinput"):
        config.stash[servers] = shared_by_processes()
        config.stash[servers].__enter__()
        if config.getoption("--measure"):
            config.pluginmanager.register(Stopwatch(LIST))
    for name, examples in (("all", 100), ("quick", 10)):
        settings.register_profile(name, deadline=None, print_blob=True, max_examples=examples)
    settings.load_profile(os.environ[DEPTH])


def pytest_unconfigure(config: pytest.Config) -> None:
    faulthandler.cancel_dump_traceback_later()
    if ELSEWHERE:
        drop_targets()
    close_connections()
    if shared := config.stash.get(servers, None):
        shared.__exit__(None, None, None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a server, and put slow tests first; leave out what the speed does not run."""
    for item in items:
        if "postgres" in item.path.parts or any(map(is_postgres, params(item))):
            item.add_marker("on_postgres")
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT_S))
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    left = set(left_out(config, items))
    config.hook.pytest_deselected(items=list(left))
    items[:] = [item for item in items if item not in left]


def left_out(config: pytest.Config, items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Yield what the speed of this run leaves out. What is named is run, except slow tests."""
    if config.getoption("--all") or any("::" in argument for argument in config.args):
        return
    fast = config.getoption("--fast")
    named = config.getoption("--measure") or any(".py" in argument for argument in config.args)
    long = frozenset[str]() if named else long_tests(LISTED_S if fast else LONG_S)
    for item in items:
        on_postgres = item.get_closest_marker("on_postgres") is not None
        if (
            (fast and on_postgres)
            or item.get_closest_marker("slow")
            or function_of(item.nodeid, on_postgres=on_postgres) in long
        ):
            yield item


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lives as long as the run: modules, thousands of tests."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let no test hang for ever: its process says where each thread is, and ends.

    The time-out of a test is raised in it once. What cleans up behind it has none.
    """
    marked = item.get_closest_marker("timeout")
    limit_s = marked.args[0] if marked and marked.args else float(item.config.getini("timeout"))
    earliest = time.monotonic() + limit_s + CLEANING_S
    # To wind a clock up takes a millisecond, because the one before has to end: for many tests one
    # will do.
    if not earliest <= item.config.stash.get(clock_ends, 0.0) <= earliest + CLEANING_S:
        item.config.stash[clock_ends] = earliest + CLEANING_S
        faulthandler.dump_traceback_later(
            limit_s + 2 * CLEANING_S, exit=True, file=item.config.stash[errors]
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart(nodeid: str) -> None:
    """Do so for each module: what it leaves open is told of here, and its imports stay."""
    module = nodeid.partition("::")[0]
    if module not in begun:
        begun.add(module)
        gc.collect()
        gc.freeze()


def is_postgres(param: object) -> bool:
    return type(param) is str and param.startswith("postgres")


def params(item: pytest.Item) -> list[object]:
    return list(item.callspec.params.values()) if hasattr(item, "callspec") else []


# --- the stores that a test is run on ---


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes a store once on each of those that its room or its module names."""
    if "kind" not in metafunc.fixturenames:
        return
    match getattr(metafunc.module, "STORES", ROOMS.get(metafunc.definition.path.parent.name)):
        case "every":
            stores = kinds()
        case "postgres":
            stores = kinds()[1:]
        case "newest postgres":
            stores = kinds()[1:2]
        case _:
            return
    metafunc.parametrize("kind", stores, indirect=True, scope="session")


@pytest.fixture(scope="session")
def kind(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cursors.db"


@pytest.fixture
def target(request: pytest.FixtureRequest, kind: str, path: Path) -> Iterator[str]:
    made = request.node.get_closest_marker("makes_ledgers") is None
    with new_target(kind, path, made=made) as target:
        yield target


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(target: str, clock: Clock) -> Iterator[Ledger]:
    with ledger.open(target, actor="tester", clock=clock) as book:
        yield book


@pytest.fixture
def run(target: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs the command in this process, on the target."""
    monkeypatch.setenv("CURSOR_LEDGER_DB", target)
    monkeypatch.setenv("CURSOR_LEDGER_ACTOR", "ops@desk")

    def run(*arguments: object, text: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments], input=text)

    return run
