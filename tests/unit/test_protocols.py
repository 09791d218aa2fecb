"""Protocols are small: whoever needs some of what a store does asks for no more than that."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import ledger
from ledger.stores import Appending, Provable, Reader, Store, Transaction, Writable
from ledger.stores.paged import Connections, Session
from support.modules import modules_of

METHODS_MAX = 5


def protocols() -> Iterator[type]:
    """Return every protocol that a module of the ledger defines."""
    for module in modules_of(ledger):
        yield from (
            value
            for _, value in inspect.getmembers(module, inspect.isclass)
            if value.__module__ == module.__name__ and getattr(value, "_is_protocol", False)
        )


def methods(protocol: type) -> list[str]:
    own = vars(protocol).items()
    return [name for name, value in own if inspect.isfunction(value) and not name.startswith("_")]


def test_a_protocol_has_five_methods_at_most() -> None:
    there = set(protocols())
    assert {Appending, Transaction, Reader, Provable, Writable, Store, Session, Connections} < there
    long = {protocol.__name__: methods(protocol) for protocol in there}
    assert {name: named for name, named in long.items() if len(named) > METHODS_MAX} == {}
    assert len(methods(Appending)) == METHODS_MAX
