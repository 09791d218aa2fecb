"""The command in this process: how it is run, and how its output is read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result

COMMAND = Path(sys.executable).with_name("cursor-ledger")
"""For what is killed, traced or bounded; `support.preloaded` has one that starts at once."""

OWNER = ("webhooks", "orders")

Run = Callable[..., Result]


def records(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def line(sequence: object, *, consumer: str = "mailer", **more: object) -> str:
    key = {"consumer_id": consumer, "stream_name": "jobs"}
    return json.dumps({"op": "advance", "advance": {"key": key, "last_sequence": sequence, **more}})


def last(run: Run, *cursor: str) -> Any:
    """Return the cursor as it is."""
    return records(run("show", *cursor))[0]


def lines(run: Run, *arguments: object) -> list[Any]:
    """Run a command, which must succeed; return the JSON lines that it printed."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return records(result)


def table(run: Run, *arguments: object) -> str:
    """Run a command, which must succeed; return the table that it printed."""
    result = run(*arguments, "--table")
    assert result.exit_code == 0, result.output
    return result.stdout
