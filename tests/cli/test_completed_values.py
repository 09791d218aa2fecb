"""Everything that takes a name, a value or a file is completed, or is here with why it is not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

import ledger
from ledger import CursorKey, Policy, PolicyKind
from ledger.exchange import retention
from projections.cli import main

KEY = CursorKey("mailer", "jobs/eu", "a")

NUMBERS = (click.types.IntParamType, click.types.FloatParamType)

NEW = {
    "--approved-by": "the name of a person, who may never have been here",
    "--delivery-id": "what the source calls an event",
    "--after of advance": "a token of the source",
    "--expect-digest": "printed before, with the command",
    "--meta": "whatever is kept with an entry",
    "--message": "what went wrong",
    "--reason": "why",
    "--origin": "the name of a ledger that is elsewhere",
    "--path": "the names in a file of somebody else",
    "--principal": "a name in the file of --allowed-signers",
    "--authenticated": "a role of the server",
    "--signed-for": "the id of another ledger",
    "--source of export": "the name of this ledger elsewhere",
    "--source of start": "the name of another system",
    "--sql": "a query",
    "--template": "a text with fields in it",
    "--now": "an exact time, with its zone",
    "--delivered-at": "an exact time, with its zone",
    "--lose": "a number, or all",
    "--witness of key new": "a new name",
    "--columns of explain": "it is told in sentences, and only its JSON has names",
    "--consumer of adopt": "a text with columns of somebody else in it",
    "--stream of adopt": "the same",
    "--subject of adopt": "the same",
    "--sequence of adopt": "the same",
}
"""What nobody could know before it is typed: by the option, or by the option and its command."""


def commands() -> Iterator[tuple[str, click.Command]]:
    yield "", main
    for name, command in main.commands.items():
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", each) for inner, each in command.commands.items())
        else:
            yield name, command


def taking_values() -> Iterator[tuple[str, str]]:
    """Yield each command with an option or an argument that takes what is no number."""
    for name, command in commands():
        for each in command.params:
            if isinstance(each, click.Option) and (each.is_flag or each.count):
                continue
            if not isinstance(each.type, NUMBERS):
                yield name, max(each.opts, key=len)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completed") / "cursor-ledger.db"
    with ledger.open(path, actor="ines") as book:
        book.advance(KEY, to=1)
        book.policies.set(Policy(PolicyKind.META, "ticket"), reason="audit")
        retention.keep(book, timedelta(days=1), reason="policy")
        retention.hold(book, "case-7", reason="lawsuit")
    return path


@pytest.fixture(autouse=True)
def _in_its_folder(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(written.parent)
    monkeypatch.delenv("CURSOR_LEDGER_DB", raising=False)


def completed(*words: str) -> list[tuple[str, str]]:
    """Return what is offered for the last of `words`, each as its kind and its text."""
    shell = ShellComplete(main, {}, "cursor-ledger", "_CURSOR_LEDGER_COMPLETE")
    found = shell.get_completions(list(words[:-1]), words[-1])
    return [(each.type, each.value) for each in found]


def words_before(name: str, parameter: str) -> list[str]:
    """Return what is typed before the value of a parameter: the arguments before it, too."""
    command = dict(commands())[name]
    words = name.split()
    if parameter.startswith("-"):
        return [*words, parameter]
    for each in command.params:
        if each.name == parameter:
            break
        if isinstance(each, click.Argument):
            part = {"consumer": KEY.consumer_id, "stream": KEY.stream_name}
            named = (each.name or "").removeprefix("named_")
            words.append(part.get(named, "require-meta" if named == "kind" else "now"))
    return words


@pytest.mark.parametrize(("name", "parameter"), list(taking_values()))
def test_what_takes_a_name_a_value_or_a_file_is_completed(name: str, parameter: str) -> None:
    is_known = bool(completed(*words_before(name, parameter), ""))
    is_new = parameter in NEW or f"{parameter} of {name}" in NEW
    assert is_known != is_new


VALUES = {
    ("list", "--tz", "Europe/Ber"): [("plain", "Europe/Berlin")],
    ("reset", "--to-cursor", "mail"): [("plain", "mailer/jobs%2Feu/a")],
    ("reset", "--to-time", "yes"): [("plain", "yesterday")],
    ("reset", "--to", "lsn"): [("plain", "lsn:")],
    ("reset", "--sign", "id"): [("file", "id")],
    ("retention", "release", "c"): [("plain", "case-7")],
    ("policy", "drop", "require-meta", "t"): [("plain", "ticket")],
    ("man", "rese"): [("plain", "resets"), ("plain", "reset")],
    ("man", "policy", "d"): [("plain", "drop")],
    ("man", "reset", "d"): [],
    ("watch", "--columns", "beh"): [("plain", "behind")],
    ("verify", "--vkey", "or"): [("file", "or")],
    ("verify", "--checkpoint", "si"): [("file", "si")],
    ("verify-proof", "3"): [("file", "3")],
    ("copy", "cur"): [("file", "cur")],
    ("copy", "cursor-ledger.db", "b"): [("file", "b")],
    ("adopt", "gr"): [("file", "gr")],
}


@pytest.mark.parametrize("words", list(VALUES), ids=" ".join)
def test_the_completion_is_what_is_meant(words: tuple[str, ...]) -> None:
    assert completed(*words) == VALUES[words]
