"""What the program says of each command before the command is imported: its name and its purpose.

To import all commands takes longer than most of them run, therefore only the one that is run is
imported. A test compares what is said here with the commands themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from enum import StrEnum
from importlib import import_module
from typing import NamedTuple

import click

from ledger.cli.process.hosts import command_name

__all__ = ["Listed", "Loaded", "Section"]


class Section(StrEnum):
    """The headings under which the help of the program lists the commands, in their order."""

    LOOK = "Look at cursors and entries"
    ASK = "Ask what was delivered, and who moved what"
    MOVE = "Record, move and start cursors"
    KEEP = "Prove, copy and export"


class Listed(NamedTuple):
    """A command of the program, not yet imported."""

    section: Section
    name: str
    at: str
    """Where it is: `module:attribute`."""
    says: str
    """The first sentence of its help."""

    @property
    def module(self) -> str:
        """The name of its module."""
        return self.at.partition(":")[0]

    def load(self) -> click.Command:
        """Import the command."""
        attribute = self.at.partition(":")[2]
        command: click.Command = getattr(import_module(self.module), attribute)
        # `ledger.cli` and `projections.cli` have the examples of their own commands.
        package = ".".join(self.module.split(".")[:2])
        examples = import_module(f"{package}.examples").EXAMPLES
        named = {self.name: command}
        if isinstance(command, click.Group):
            named |= {f"{self.name} {inner}": each for inner, each in command.commands.items()}
        for name, each in named.items():
            if text := examples.get(name):
                text = text.replace("cursor-ledger ", f"{command_name()} ")
                each.epilog = f"\b\nExamples:\n{_indented(text)}"
        return command


class Loaded(MutableMapping[str, click.Command]):
    """Commands by their names; each is imported when it is first asked for."""

    def __init__(self, commands: Iterable[Listed | click.Command]) -> None:
        self.listed: dict[str, Listed] = {}
        self._others: dict[str, click.Command] = {}
        for each in commands:
            if isinstance(each, Listed):
                self.listed[each.name] = each
            else:
                self._others[each.name or ""] = each

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._others:
            self._others[name] = self.listed[name].load()
        return self._others[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._others[name] = command

    def __delitem__(self, name: str) -> None:
        self.listed.pop(name, None)
        self._others.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**self.listed, **self._others})

    def __len__(self) -> int:
        return len({**self.listed, **self._others})


def _indented(text: str) -> str:
    return "\n".join(f"  {line.strip()}" for line in text.strip().splitlines())
