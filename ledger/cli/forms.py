"""The forms of a result: a table on a terminal, JSON lines in a pipe, others on demand.

Text from the log was written by strangers. It is shown so that it cannot command the terminal,
reorder what is read, or start a formula in a spreadsheet.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import click

from ledger.cli.parameters import Parameter
from ledger.cli.sources import Names
from ledger.cli.spreadsheets import print_csv
from ledger.cli.tables import Column, print_table, terminal_width
from ledger.log.json import unstructure
from ledger.log.text import dumps, visible, visible_json

__all__ = ["Form", "fitting", "form_flags", "form_options", "print_json", "show", "show_one"]

T = TypeVar("T")

_FORM = "CURSOR_LEDGER_FORMAT"


class Form(StrEnum):
    """The forms that a result can take."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class _Name(Parameter[Form]):
    """The name of a form."""

    name = "form"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Form:
        """Return the form that is named."""
        try:
            return Form(value)
        except ValueError:
            self.fail(f"{value!r} is not one of {', '.join(Form)}.", param, ctx)


def form_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-o FORM`, and an option of its own for each form, as the parameter `form`."""
    command = click.option(
        "-o",
        "form",
        type=_Name(),
        metavar="FORM",
        shell_complete=lambda _, __, word: [form for form in Form if form.startswith(word)],
        help=f"One of these forms, by its name; {_FORM} sets it for all commands.",
    )(command)
    return form_flags(command)


def form_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each form, as the parameter `form`."""
    helps = {
        Form.CSV: "Print comma-separated values, with a heading.",
        Form.JSONL: "Print one JSON object a line: the default in a pipe.",
        Form.JSON: "Print one JSON value.",
        Form.WIDE: "Print a table as wide as it is, with all columns.",
        Form.TABLE: "Print a table that fits the terminal: the default there.",
    }
    for form, text in helps.items():
        option = click.option(f"--{form}", "form", flag_value=form, type=_Name(), help=text)
        command = option(command)
    return command


def fitting(form: Form | None) -> Form:
    """Return the form that was asked for, or the default of where the output goes."""
    if form:
        return form
    if wanted := os.environ.get(_FORM):
        try:
            return Form(wanted)
        except ValueError:
            raise click.UsageError(
                f"{_FORM} is {visible(wanted)[:40]}; it may be {', '.join(Form)}."
            ) from None
    return Form.TABLE if sys.stdout.isatty() else Form.JSONL


def show(
    values: Iterable[T],
    columns: list[Column],
    form: Form | None,
    *,
    of: Sequence[type | str] = (),
    none: str = "none",
    plain: Callable[[T], Any] = unstructure,
    names: Names | None = None,
) -> None:
    """Print `values` as they come, in the form that was asked for or that fits the output.

    `plain` makes JSON values of each, for JSON and CSV. `of` names what CSV has in its heading:
    kinds of values, whose fields are meant, or names. Where there are no values, a table says
    `none` on standard error. `names` shows what sources call the sequences.
    """
    if names is not None:
        columns, plain = names.columns(columns), names.plain(plain)
    match fitting(form):
        case Form.TABLE:
            print_table(iter(values), columns, none, terminal_width())
        case Form.WIDE:
            print_table(iter(values), columns, none)
        case Form.JSONL:
            for value in values:
                print_json(plain(value))
        case Form.JSON:
            opened = False
            for value in values:
                click.echo((",\n " if opened else "[") + _json(plain(value)), nl=False)
                opened = True
            click.echo("]" if opened else "[]")
        case Form.CSV:
            print_csv(values, of, plain)


def show_one(
    value: T,
    columns: list[Column],
    form: Form | None,
    *,
    plain: Callable[[T], Any] = unstructure,
    names: Names | None = None,
) -> None:
    """Print one value: in JSON not as a list."""
    if form is Form.JSON:
        print_json(plain(value) if names is None else names.plain(plain)(value))
    else:
        show([value], columns, form, plain=plain, names=names)


def print_json(plain: object) -> None:
    """Print JSON values on one line."""
    click.echo(_json(plain))


def _json(plain: object) -> str:
    return visible_json(dumps(plain))
