"""Manual pages, made from the same text as the help of the commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger import __version__, files
from ledger.cli.listing import Loaded, Section
from ledger.cli.parameters import beginning
from ledger.cli.process.exits import MEANINGS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["manual", "page"]

PROGRAM = "cursor-ledger"


def _names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a command, or of one that belongs to the command before it."""
    group: click.Command | None = context.find_root().command
    for name in context.params.get(parameter.name or "") or ():
        group = group.get_command(context, name) if isinstance(group, click.Group) else None
    return beginning([*group.commands], incomplete) if isinstance(group, click.Group) else []


@click.command("man")
@click.argument("command", nargs=-1, shell_complete=_names)
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write the pages of the program and of all commands into this folder, as NAME.1.",
)
@click.pass_context
def manual(context: click.Context, command: tuple[str, ...], into: Path | None) -> None:
    """Print the manual page of the program, or of one COMMAND.

    A COMMAND may be two words, such as policy set. The page is for man, which shows it:
    cursor-ledger man reset | man -l -. With --into, all pages are written, to be installed.
    """
    root = context.find_root()
    assert isinstance(root.command, click.Group)  # noqa: S101 - the program has commands
    if into is not None:
        if command:
            raise click.UsageError("--into writes all pages: leave out COMMAND.")
        _write(root.command, into)
        return
    found: list[click.Command] = [root.command]
    for name in command:
        group = found[-1]
        if not isinstance(group, click.Group):
            raise click.UsageError(
                f"{' '.join(command)!r:.80} has no page: {group.name} has no commands of its own."
            )
        inner = group.get_command(root, name)
        if inner is None:
            raise click.NoSuchCommand(name, possibilities=group.commands, ctx=context)
        found.append(inner)
    click.echo(page(*found), nl=False)


def _write(program: click.Group, into: Path) -> None:
    files.refuse_part(into)
    into.mkdir(parents=True, exist_ok=True)
    pages = {PROGRAM: page(program)}
    for name, command in program.commands.items():
        pages[f"{PROGRAM}-{name}"] = page(program, command)
        if isinstance(command, click.Group):
            for inner, each in command.commands.items():
                pages[f"{PROGRAM}-{name}-{inner}"] = page(program, command, each)
    for name, text in pages.items():
        (into / f"{name}.1").write_text(text, "ascii")
    click.echo(f"{len(pages)} pages written into {into}", err=True)


def page(program: click.Command, *commands: click.Command) -> str:
    """Return the manual page of `program`, or of a command of it, or of a command of that, as roff.

    It is ASCII: what else a text has is written as roff writes it, by its code point.
    """
    with ExitStack() as stack:
        context = stack.enter_context(click.Context(program, info_name=PROGRAM))
        for each in commands:
            below = click.Context(each, info_name=each.name, parent=context)
            context = stack.enter_context(below)
        command = context.command
        rest = _of_command(command, commands[:-1]) if commands else _of_program(program)
        return "\n".join([*_about(command, context), *rest]) + "\n"


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
        for inner, each in command.commands.items():
            yield from _item(f"{name}-{inner}(1)", each.get_short_help_str(1_000))
    yield ".SH OPTIONS"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield from _item(*record)


def _of_program(program: click.Command) -> Iterator[str]:
    assert isinstance(program, click.Group)  # noqa: S101 - the program has commands
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
    for code, says in MEANINGS.items():
        yield from _item(str(code), says)
    yield from _see_also(["man", *program.commands])


def _of_command(command: click.Command, above: Sequence[click.Command]) -> Iterator[str]:
    if command.epilog:
        yield ".SH EXAMPLES"
        yield from _block("\b\n" + command.epilog.partition("Examples:\n")[2])
    inner = command.commands if isinstance(command, click.Group) else ()
    within = [f"{command.name}-{name}" for name in inner]
    yield from _see_also([*(each.name or "" for each in above), *within])


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
