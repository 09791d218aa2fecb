"""Manual pages say what the help says, and are roff without a mistake."""

from __future__ import annotations

import re
import shutil
import subprocess
from inspect import cleandoc
from pathlib import Path

import click
import pytest

from ledger.cli.manual import page
from projections.cli import main
from support.commands import Run

REQUESTS = {".B", ".PP", ".SH", ".SS", ".TH", ".TP", ".fi", ".nf"}
WRITTEN = {
    "\\e": "\\",
    "\\-": "-",
    "\\(aq": "'",
    "\\(ga": "`",
    "\\(ha": "^",
    "\\(ti": "~",
    "\\&": "",
}


def read(roff: str) -> str:
    """Return the words of a page, as a reader of roff sees them."""

    def character(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else WRITTEN[found[0]]

    lines = [line for line in roff.splitlines() if line not in REQUESTS]
    text = re.sub(r"\\f[BIR]", "", "\n".join(lines))
    return re.sub(r"\\\[u([0-9A-F]+)\]|\\\(..|\\.", character, text)


def commands() -> dict[str, click.Command]:
    """Return the program, its commands, and those of its groups, by what is typed for each."""
    found: dict[str, click.Command] = {"": main, **main.commands}
    for name, command in main.commands.items():
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": each for inner, each in command.commands.items()}
    return found


COMMANDS = commands()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_page_says_all_that_the_help_says(run: Run, name: str) -> None:
    printed = run("man", *name.split())
    assert printed.exit_code == 0
    roff = printed.stdout
    assert roff.isascii()
    for line in roff.splitlines():
        if line.startswith((".", "'")):
            assert line.split(" ")[0] in REQUESTS, line
    command = COMMANDS[name]
    said = " ".join(read(roff).split())
    for paragraph in cleandoc(command.help or "").replace("\b", "").split("\n\n"):
        assert " ".join(paragraph.split()) in said
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert all(option in said for option in parameter.opts)
            assert " ".join((parameter.help or "").split()) in said
    for example in (command.epilog or "").partition("Examples:\n")[2].splitlines():
        assert example.strip() in read(roff)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed here")
def test_groff_warns_of_nothing_and_shows_every_section(run: Run, tmp_path: Path) -> None:
    done = run("man", "--into", tmp_path / "man1")
    assert done.exit_code == 0
    pages = sorted((tmp_path / "man1").iterdir())
    assert {path.stem for path in pages} == {
        f"cursor-ledger {name}".strip().replace(" ", "-") for name in COMMANDS
    }
    for path in pages:
        shown = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-b", path],
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stderr == ""
        plain = re.sub("\x1b\\[[0-9;]*m|.\b", "", shown.stdout)
        for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SEE ALSO"):
            assert re.search(f"^{section}$", plain, re.MULTILINE), (path, section)


def test_what_a_text_has_is_never_taken_for_a_request() -> None:
    @click.command("odd", epilog="\b\nExamples:\n  .so /etc/passwd\n  '\\*[x] – \\fB")
    def odd() -> None:
        """.so is not a request; \\n[x] – neither.

        .de is none.
        """

    roff = page(main, odd)
    requests = {line.split(" ")[0] for line in roff.splitlines() if line.startswith((".", "'"))}
    assert requests <= REQUESTS
    assert ".so /etc/passwd\n'\\*[x] – \\fB" in re.sub("(?m)^ +", "", read(roff))


def test_a_page_of_a_command_that_is_not_there_names_the_one_that_is_near(run: Run) -> None:
    refused = run("man", "shw")
    assert refused.exit_code == 2
    assert "show" in refused.stderr
    assert run("man", "show", "--into", "x").exit_code == 2
    refused = run("man", "policy", "sett")
    assert refused.exit_code == 2
    assert "set" in refused.stderr.partition("Did you mean")[2]
    assert "show has no commands" in run("man", "show", "set").stderr
