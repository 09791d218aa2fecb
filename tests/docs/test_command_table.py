"""The table of commands in docs/command-line.md has each command that there is, and no other."""

from __future__ import annotations

import re

from projections.cli import main
from support.places import TOP

TEXT = (TOP / "docs/command-line.md").read_text("utf-8")
ROWS = TEXT.partition("| command | what it does |\n| --- | --- |\n")[2].partition("\n\n")[0]
NAMED = [
    words.split()[0]
    for row in ROWS.splitlines()
    for words in re.findall(r"`([^`]+)`", row.split("|")[1])
]


def test_every_command_has_a_row() -> None:
    assert set(main.commands) - {*NAMED} == set()


def test_every_name_in_the_table_is_a_command() -> None:
    assert {*NAMED} - set(main.commands) == set()
