"""`manage.py cursor_ledger …`: the command `cursor-ledger` on Django's database."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from ledger.errors import LedgerError
from ledger.integrations.django.conf import configuration
from ledger.integrations.django.places import MEMORY, target
from ledger.targets.hosts import Host

__all__ = ["Command"]

_USAGE = 2
# What is Django's own: where the settings are, and where their modules are.
_OWN = ("settings", "pythonpath")


class Command(BaseCommand):
    """Runs `cursor-ledger` with the database of the settings.

    The ACTOR of the settings is not used, because a person at a command is not the service.
    """

    help = "cursor-ledger on Django's database: manage.py cursor_ledger list; … --help says more."
    requires_system_checks = ()
    suppressed_base_arguments = frozenset(
        {"--version", "--verbosity", "--traceback", "--no-color", "--force-color", "--skip-checks"}
    )

    def run_from_argv(self, argv: list[str]) -> None:
        """Pass on what was typed, also what Django has an option for, such as --help."""
        own = argparse.ArgumentParser(
            prog=f"{_program_of(argv[0])} {argv[1]}", add_help=False, allow_abbrev=False
        )
        for name in (*_OWN, "database"):
            own.add_argument(f"--{name}", default="")
        # In front of the command's own words; behind them, everything is the command's.
        known, rest = own.parse_known_args(argv[2:])
        typed = [f"--{name}={getattr(known, name)}" for name in _OWN if getattr(known, name)]
        name = " ".join([_program_of(argv[0]), shlex.join([argv[1], *typed])])
        try:
            code = _run(name, known.database, rest)
        except CommandError as error:
            # Django would print it, if it had called this by its own way.
            self.stderr.write(f"{type(error).__name__}: {error}")
            code = error.returncode
        sys.exit(code)

    def add_arguments(self, parser: Any) -> None:
        """Take the words of the command, from `call_command`."""
        parser.add_argument("--database", default="")
        parser.add_argument("words", nargs=argparse.REMAINDER)

    def handle(self, *_: object, words: list[str], database: str, **__: object) -> None:
        """Run it for `call_command`; it fails with CommandError, which has the exit code."""
        code = _run("python manage.py cursor_ledger", database, [str(word) for word in words])
        if code:
            raise CommandError(f"cursor-ledger has failed with code {code}.", returncode=code)


def _run(name: str, database: str, words: Sequence[str]) -> int:
    host = _host(name, database)
    code: object = 0
    try:
        _program()(list(words), prog_name=name, obj=host)
    except SystemExit as end:
        code = end.code or 0
    return code if isinstance(code, int) else 1


def _host(name: str, database: str) -> Host:
    """Return what the command has to know of Django.

    Raises CommandError.
    """
    aliases = ", ".join(map(str, connections))
    if database and database not in connections:
        raise CommandError(
            f"--database {database!r:.80} is none of DATABASES; they are: {aliases}.",
            returncode=_USAGE,
        )
    try:
        said = configuration()
        place = target(database or said.database, said.schema)
    except (LedgerError, ImproperlyConfigured) as error:
        raise CommandError(str(error), returncode=_USAGE) from error
    if place == MEMORY:
        raise CommandError(
            "the database is in memory, where there is no ledger but in one process.",
            returncode=_USAGE,
        )
    chosen = f" --database {shlex.quote(database)}" if database else ""
    of_settings = database in {"", said.database}
    migrate = f"{name.partition(' cursor_ledger')[0]} migrate{chosen}"
    return Host(
        command=f"{name}{chosen}",
        place=place,
        option="--database ALIAS",
        says=f"The database that has the ledger, by its alias: {aliases}.  "
        f"[default: {said.database}]",
        refusal=f"--db is not for a ledger in a database of Django. Name the database: "
        f"{name} --database ALIAS …, where ALIAS is one of {aliases}.",
        advice=f"Make its tables: {migrate}."
        if of_settings
        else f"The ledger of the settings is in {said.database!r}; the first advance makes one "
        "here.",
    )


def _program() -> click.Command:
    """Return `cursor-ledger` as it is installed."""
    # By its entry point, because nothing in the ledger may need what only reads it.
    for point in entry_points(group="console_scripts", name="cursor-ledger"):
        found: click.Command = point.load()
        return found
    raise CommandError("cursor-ledger is not installed: run pip install . in a clone of it.")


def _program_of(path: str) -> str:
    """Return how the program at `path` is called from a shell."""
    file = Path(path)
    if file.name == "__main__.py":
        return f"python -m {file.parent.name}"
    return f"python {shlex.quote(path)}" if file.suffix == ".py" else file.name
