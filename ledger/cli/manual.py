"""Manual pages, made from the same text as the help of the commands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from pathlib import Path

import click

from ledger import __version__
from ledger.cli.listing import Loaded, Section

__all__ = ["manual", "page"]

PROGRAM = "cursor-ledger"


@click.command("man")
@click.argument("command", required=False)
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write the pages of the program and of all commands into this folder, as NAME.1.",
)
@click.pass_context
def manual(context: click.Context, command: str | None, into: Path | None) -> None:
    """Print the manual page of the program, or of one COMMAND.

    The page is for man, which shows it: cursor-ledger man reset | man -l -. With --into, all pages
    are written, to be installed.
    """
    root = context.find_root()
    assert isinstance(root.command, click.Group)  # noqa: S101 - the program has commands
    if into is not None:
        if command is not None:
            raise click.UsageError("--into writes all pages: leave out COMMAND.")
        _write(root.command, into)
        return
    if command is None:
        click.echo(page(root.command), nl=False)
        return
    found = root.command.get_command(root, command)
    if found is None:
        raise click.NoSuchCommand(command, possibilities=root.command.commands, ctx=context)
    click.echo(page(root.command, found), nl=False)


def _write(program: click.Group, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    pages = {PROGRAM: page(program)}
    for name, command in program.commands.items():
        pages[f"{PROGRAM}-{name}"] = page(program, command)
    for name, text in pages.items():
        (into / f"{name}.1").write_text(text, "ascii")
    click.echo(f"{len(pages)} pages written into {into}", err=True)


def page(program: click.Group, command: click.Command | None = None) -> str:
    """Return the manual page of `program`, or of one of its commands, as roff.

    It is ASCII: what else a text has is written as roff writes it, by its code point.
    """
    with click.Context(program, info_name=PROGRAM) as root:
        if command is None:
            return "\n".join([*_about(program, root), *_of_program(program)]) + "\n"
        with click.Context(command, info_name=command.name, parent=root) as context:
            return "\n".join([*_about(command, context), *_of_command(command)]) + "\n"


def _about(command: click.Command, context: click.Context) -> Iterator[str]:
    path = context.command_path
    name = path.replace(" ", "-")
    first, *paragraphs = _paragraphs(command.help or "")
    yield f'.TH {_text(name.upper())} 1 "" "{PROGRAM} {__version__}" "User Commands"'
    yield ".SH NAME"
    yield _text(f"{name} - {first[0].lower()}{first[1:].rstrip('.')}")
    yield ".SH SYNOPSIS"
    yield f".B {_text(path)}"
    yield _text(" ".join(command.collect_usage_pieces(context)))
    yield ".SH DESCRIPTION"
    yield _text(first)
    for paragraph in paragraphs:
        yield from _block(paragraph)
    if isinstance(command, click.Group) and not isinstance(command.commands, Loaded):
        yield ".SH COMMANDS"
        for name, inner in command.commands.items():
            yield from _item(name, inner.get_short_help_str(1_000))
    yield ".SH OPTIONS"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield from _item(*record)


def _of_program(program: click.Group) -> Iterator[str]:
    assert isinstance(program.commands, Loaded)  # noqa: S101 - it was made of these
    if questions := getattr(program, "questions", {}):
        yield ".SH QUESTIONS"
        for asked, words in questions.items():
            yield from _item(f"{PROGRAM} {words}", asked)
    yield ".SH COMMANDS"
    for section in Section:
        yield f".SS {_text(section)}"
        for each in program.commands.listed.values():
            if each.section is section:
                yield from _item(f"{PROGRAM}-{each.name}(1)", each.says)
    yield ".SH EXIT STATUS"
    codes = re.sub(r"^Exit codes: ", "", program.epilog or "").rstrip(".")
    for code in re.split(r", (?=\d)", codes):
        yield from _item(*code.split(" ", 1))
    yield from _see_also(["man", *program.commands])


def _of_command(command: click.Command) -> Iterator[str]:
    if command.epilog:
        yield ".SH EXAMPLES"
        yield from _block("\b\n" + command.epilog.partition("Examples:\n")[2])
    yield from _see_also([])


def _see_also(names: Iterable[str]) -> Iterator[str]:
    yield ".SH SEE ALSO"
    pages = sorted({PROGRAM, *(f"{PROGRAM}-{name}" for name in names)})
    yield ", ".join(f"\\fB{_text(name)}\\fR(1)" for name in pages)


def _paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a help; those of lines that stay as they are begin with \\b."""
    found = []
    for paragraph in cleandoc(text).split("\n\n"):
        whole = paragraph.startswith("\b")
        found.append(paragraph if whole else " ".join(paragraph.split()))
    return found


def _block(paragraph: str) -> Iterator[str]:
    yield ".PP"
    if not paragraph.startswith("\b"):
        yield _text(paragraph)
        return
    yield ".nf"
    for line in paragraph.removeprefix("\b").strip("\n").split("\n"):
        yield _text(line) if line.strip() else ""
    yield ".fi"


def _item(term: str, said: str) -> Iterator[str]:
    yield ".TP"
    yield f"\\fB{_text(term)}\\fR"
    yield _text(" ".join(said.split()))


_SPECIAL = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}


def _text(text: str) -> str:
    """Return a line of text for roff, in which nothing is a command."""
    written = "".join(
        _SPECIAL.get(each) or (each if each.isascii() else f"\\[u{ord(each):04X}]") for each in text
    )
    # What begins with a dot or a quote would be a request, and a blank would break the line.
    return f"\\&{written}" if written[:1] in {".", "'", " "} else written
