"""The types of what is public can be asked for, as web frameworks and validators do."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable, Iterator

import pytest

import ledger

MODULES = [
    *("ledger", "ledger.aio", "ledger.positions", "ledger.testing", "projections"),
    *("ledger.integrations.django", "ledger.integrations.kafka", "ledger.integrations.sqlalchemy"),
]

# They take what other libraries have, or what only those have who imported it. These pass it to
# `get_type_hints`, in `localns`.
PASSED = {
    "ledger.Ledger.submit": {"Future"},
    "ledger.Ledger.using": {"Lendable"},
    "ledger.lazy": {"sqlalchemy", "asyncio_orm"},
    "ledger.open": {"sqlalchemy", "psycopg_pool"},
    "ledger.aio.AsyncLedger.using": {"AsyncLendable"},
    "ledger.aio.lazy": {"sqlalchemy", "asyncio_orm"},
    "ledger.aio.open": {"sqlalchemy", "psycopg_pool"},
    "ledger.integrations.kafka.Member.run": {"Message"},
    "ledger.integrations.kafka.delivery_id_of": {"Message"},
    "ledger.integrations.kafka.sequence_of": {"Message"},
    "ledger.testing.Source.aconsume": {"AsyncLedger"},
    "ledger.testing.Source.consume": {"Ledger"},
    "projections.Projector": {"Connection"},
    "projections.Projector.__init__": {"Connection"},
    "projections.afollow": {"AsyncLedger"},
}
# Nobody calls these: a ledger makes them.
MADE = {
    *("ledger.Consumer.__init__", "ledger.Delivery", "ledger.Delivery.__init__"),
    *("ledger.aio.AsyncConsumer.__init__", "ledger.aio.AsyncLent.__init__"),
}


def functions(name: str) -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield the functions of a module that are public, its classes, and their methods."""
    module = importlib.import_module(name)
    for public in module.__all__:
        value = getattr(module, public)
        if inspect.isclass(value):
            if not issubclass(value, Exception):
                yield f"{name}.{public}", value
            for attribute, member in inspect.getmembers_static(value):
                written = _written(member)
                if written is not None and (attribute == "__init__" or attribute[0] != "_"):
                    yield f"{name}.{public}.{attribute}", written
        elif inspect.isfunction(value):
            yield f"{name}.{public}", value


def _written(member: object) -> Callable[..., object] | None:
    if isinstance(member, property):
        return member.fget
    function = getattr(member, "__func__", member)
    return function if inspect.isfunction(function) else None


@pytest.mark.parametrize("module", MODULES)
def test_the_types_of_everything_public_can_be_asked_for(module: str) -> None:
    wrong = []
    for name, function in functions(module):
        try:
            typing.get_type_hints(function)
        except NameError as error:
            if name not in MADE and error.name not in PASSED.get(name, ()):
                wrong.append(f"{name}: {error}")
    assert not wrong


def test_what_is_imported_late_is_the_type_that_is_told() -> None:
    hints = typing.get_type_hints(ledger.Ledger.verify)
    assert hints["return"] is ledger.Verification
    assert typing.get_type_hints(ledger.Ledger.checkpoint)["return"] is ledger.Checkpoint
    assert typing.get_type_hints(ledger.Ledger.consumer)["return"] is ledger.Consumer
    assert typing.get_type_hints(ledger.Ledger.copy_to)["return"] is ledger.Copied
