"""What the rooms of tests share: the stores that a test is run on, a clock, a ledger, a command."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import settings

import ledger
from ledger import Ledger
from projections.cli import main
from support.clock import Clock
from support.commands import Run
from support.servers import kinds
from support.targets import new_target

# A shell that runs the tests in the background has them ignore this, and so would their children.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("ci", deadline=None, print_blob=True)
settings.load_profile("ci")

# The stores of a room; a module elsewhere names its own, as in STORES = "every".
ROOMS = {"contract": "every", "postgres": "postgres"}


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
def target(kind: str, path: Path) -> Iterator[str]:
    with new_target(kind, path) as target:
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
    """Give what runs the command in this process, on the target."""
    monkeypatch.setenv("CURSOR_LEDGER_DB", target)
    monkeypatch.setenv("CURSOR_LEDGER_ACTOR", "ops@desk")

    def run(*arguments: object, text: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments], input=text)

    return run
