"""The forms of a result: a table on a terminal, JSON lines in a pipe, others on demand.

Text from the log was written by strangers. It is shown so that it cannot command the terminal,
reorder what is read, or start a formula in a spreadsheet.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Union, assert_never

import click

from ledger.cli.parameters import Parameter
from ledger.cli.process.interrupts import Watch
from ledger.cli.shown.paging import no_pager_option, paged
from ledger.cli.shown.sentences import say
from ledger.cli.shown.shaped import Shaped, shaped
from ledger.cli.shown.shapes import Shape, columns_option, template_option
from ledger.cli.shown.terminals import terminal_width
from ledger.cli.shown.zones import zone_option
from ledger.log.plain import unstructure
from ledger.log.text import dumps, visible, visible_json

# A pipe has no table: what makes one is imported where one is printed.
if TYPE_CHECKING:
    from ledger.cli.shown.tables import Column, Layout
    from ledger.cli.typed.sources import Names

__all__ = [
    "Columns",
    "Form",
    "endless",
    "endless_options",
    "fitting",
    "form_flags",
    "form_options",
    "json_lines",
    "print_json",
    "show",
    "show_one",
    "show_table",
    "text_lines",
    "to_keep",
]

T = TypeVar("T")

Columns: TypeAlias = Union["list[Column]", Callable[[], "list[Column]"]]
"""The columns of a table, or what returns them where there is one."""

_FORM = "CURSOR_LEDGER_FORMAT"


class Form(StrEnum):
    """The forms that a result can take."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TEMPLATE = "template"


class _Name(Parameter[Form]):
    """The name of a form."""

    name = "form"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Form:
        """Return the form that is named."""
        try:
            return Form(value)
        except ValueError:
            self.fail(f"{value!r} is not one of {', '.join(Form)}.", param, ctx)


_FOR_ALL = [form for form in Form if form is not Form.TEMPLATE]


def form_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-o FORM`, and an option of its own for each form, as the parameter `form`."""
    return form_flags(_form_option(list(Form))(command))


def _form_option(forms: Sequence[Form]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what adds `-o FORM`, completed to these forms."""
    return click.option(
        "-o",
        "form",
        type=_Name(),
        metavar="FORM",
        shell_complete=lambda _, __, word: [form for form in forms if form.startswith(word)],
        help=f"One of these forms, by its name; {_FORM} sets it for all commands.",
    )


def form_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each form, as the parameter `form`, and those about what is in it."""
    helps = {
        Form.CSV: "Print comma-separated values, with a heading.",
        Form.JSONL: "Print one JSON object a line: the default in a pipe.",
        Form.JSON: "Print one JSON value.",
        Form.WIDE: "Print a table as wide as it is, with all columns.",
        Form.TABLE: "Print a table that fits the terminal: the default there.",
    }
    return _flags(helps, _line_options(no_pager_option(command)))


def endless_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the forms of a result that goes on until it is interrupted, as the parameter `form`."""
    helps = {
        Form.JSONL: "Print one JSON object a line: the default in a pipe.",
        Form.WIDE: "Print lines for reading as wide as they are, with all there is.",
        Form.TABLE: "Print lines for reading: the default on a terminal.",
    }
    option = _form_option([*reversed(helps), Form.TEMPLATE])
    return _flags(helps, _line_options(option(command)))


def _flags(helps: dict[Form, str], command: Callable[..., Any]) -> Callable[..., Any]:
    for form, text in helps.items():
        option = click.option(f"--{form}", "form", flag_value=form, type=_Name(), help=text)
        command = option(command)
    return command


def _line_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options about what each line of a result has in it."""
    for about in (zone_option, columns_option, template_option):
        command = about(command)
    return command


def fitting(form: Form | None) -> Form:
    """Return the form that was asked for, or the default of where the output goes."""
    if Shape.current().template is not None:
        if form not in {None, Form.TEMPLATE}:
            raise click.UsageError(f"--template is a form, and --{form} another: choose one.")
        return Form.TEMPLATE
    if form is Form.TEMPLATE:
        raise click.UsageError("Add the template: --template '{consumer_id} {last_sequence}'.")
    if form:
        return form
    if wanted := os.environ.get(_FORM):
        if wanted in _FOR_ALL:
            return Form(wanted)
        raise click.UsageError(
            f"{_FORM} is {visible(wanted)[:40]}; it may be {', '.join(_FOR_ALL)}."
        )
    return Form.TABLE if sys.stdout.isatty() else Form.JSONL


def endless(form: Form | None) -> Form:
    """Return the same for a result that may go on until it is interrupted: never JSON or CSV.

    Where one of those is set for all commands, JSON lines are nearest to it. Raises
    click.UsageError where one was typed.
    """
    chosen = fitting(form)
    if chosen not in {Form.JSON, Form.CSV}:
        return chosen
    if form is None:
        return Form.JSONL
    raise click.UsageError(
        f"What is printed as it comes may have no end, so it is not printed as {chosen}: use "
        "--jsonl or --table."
    )


def to_keep(form: Form | None) -> Form | None:
    """Return the form of what is kept in a file: JSON lines, unless another was typed."""
    return form or (None if Shape.current().template else Form.JSONL)


def show_table(values: Iterable[T], columns: Sequence[Column]) -> None:
    """Print a table that fits, whatever form and columns the result of the command has."""
    from ledger.cli.shown.tables import print_table

    _say_left_out(print_table(iter(values), columns, "", terminal_width()))


def show(
    values: Iterable[T],
    columns: Columns,
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
    `none` on standard error, and for which columns it has no room. `names` shows what sources call
    the sequences.
    """
    chosen = fitting(form)
    to_read = chosen in {Form.TABLE, Form.WIDE}
    shape = Shape.current()
    named = _named(columns, names) if to_read or shape.is_asked_for else []
    plain = plain if names is None else names.plain(plain)
    what = shaped(shape, _noted(values), named, plain=plain, of=of, to_read=to_read)
    layout = None  # It stays so where a reader leaves the pager early.
    with paged():
        layout = _print(what, chosen, none)
    _say_left_out(layout)


def _say_left_out(layout: Layout | None) -> None:
    """Print to standard error which columns had no room, because one who asks may need them."""
    if layout is not None and layout.left_out:
        say(f"left out: {', '.join(layout.left_out)}; --wide shows all", err=True)


def _named(columns: Columns, names: Names | None) -> list[Column]:
    """Return the columns, which show what sources call the sequences if there are `names`."""
    there = columns() if callable(columns) else columns
    return there if names is None else names.columns(there)


def _noted(values: Iterable[T]) -> Iterator[T]:
    """Yield `values`; note where there are none, because a name may be mistyped."""
    found = False
    for value in values:
        found = True
        yield value
    Watch.current().nothing_found = not found


def _print(what: Shaped, form: Form, none: str) -> Layout | None:
    match form:
        case Form.TABLE | Form.WIDE:
            from ledger.cli.shown.tables import print_table

            if form is Form.TABLE:
                return print_table(iter(what.values), what.columns, none, terminal_width())
            print_table(iter(what.values), what.columns, none)
        case Form.JSONL:
            for value in what.values:
                print_json(what.plain(value))
        case Form.JSON:
            opened = False
            for value in what.values:
                _write((",\n " if opened else "[") + _json(what.plain(value)))
                opened = True
            _write("]\n" if opened else "[]\n")
        case Form.CSV:
            from ledger.cli.shown.spreadsheets import print_csv  # Few ask for it.

            print_csv(what.values, what.of, what.plain)
        case Form.TEMPLATE:
            from ledger.cli.shown.records import flat  # Few write one.

            assert what.template is not None  # noqa: S101 - `fitting` has seen to it
            for value in what.values:
                _write(f"{what.template.line(flat(what.plain(value)))}\n")
        case _:
            assert_never(form)
    return None


def json_lines(
    columns: list[Column], of: Sequence[type | str], names: Names
) -> Callable[[Any], None]:
    """Return what prints one value that comes by itself: as JSON, or as the template has it."""
    plain = names.plain(unstructure)
    what = shaped(Shape.current(), (), columns, plain=plain, of=of, to_read=False)
    template = what.template
    if template is not None:
        from ledger.cli.shown.records import flat  # Few write one.

        return lambda value: click.echo(template.line(flat(what.plain(value))))
    return lambda value: print_json(what.plain(value))


def text_lines(
    columns: list[Column], of: Sequence[type | str], names: Names
) -> Callable[[Any], None]:
    """Return what prints the columns that were asked for of one value that comes by itself."""
    columns, plain = names.columns(columns), names.plain(unstructure)
    what = shaped(Shape.current(), (), columns, plain=plain, of=of, to_read=True)
    return lambda value: click.echo("  ".join(column.text(value) for column in what.columns))


def show_one(
    value: T,
    columns: Columns,
    form: Form | None,
    *,
    plain: Callable[[T], Any] = unstructure,
    names: Names | None = None,
) -> None:
    """Print one value: in JSON not as a list."""
    if fitting(form) is Form.JSON:
        plain, shape = plain if names is None else names.plain(plain), Shape.current()
        named = _named(columns, None) if shape.is_asked_for else []
        what = shaped(shape, [value], named, plain=plain, of=(), to_read=False)
        print_json(what.plain(value))
    else:
        show([value], columns, form, plain=plain, names=names)


def print_json(plain: object) -> None:
    """Print JSON values on one line."""
    _write(f"{_json(plain)}\n")


def _write(text: str) -> None:
    """Print what has no colours in it; `click.echo`, which looks for them, takes 4 µs more."""
    # What is wanted from a pipe is wanted at once, however long the next line takes.
    sys.stdout.write(text)
    sys.stdout.flush()


def _json(plain: object) -> str:
    return visible_json(dumps(plain))
