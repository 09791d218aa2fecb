"""What of a result is shown, and in which order: `--columns`, `--sort`, `--limit`, `--template`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from inspect import isfunction, unwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ledger.cli.parameters import Parameter, beginning
from ledger.errors import InvalidCursorError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ledger.cli.shown.templates import Template

__all__ = [
    "NAMES",
    "Shape",
    "columns_option",
    "limit_option",
    "note_sort",
    "own_limit_option",
    "sort_option",
    "template_option",
    "words_and_headings",
]

_META = "ledger.cli.shape"

COLUMNS_MAX = 100

LIMIT_MAX = 2**63 - 1
"""As many entries as a ledger can have."""


class Shape(NamedTuple):
    """What was asked for beside the form of a result. What is empty or 0 was not."""

    columns: tuple[str, ...] = ()
    sort: tuple[tuple[str, bool], ...] = ()
    """The columns to sort by, each with whether it goes down."""
    limit: int = 0
    template: Template | None = None

    @classmethod
    def current(cls) -> Shape:
        """Return the shape that the command that runs was asked for."""
        context = click.get_current_context(silent=True)
        return cls() if context is None else _of(context)

    @property
    def is_asked_for(self) -> bool:
        """Whether anything was."""
        return bool(self.columns or self.sort or self.limit or self.template)

    def needs_records(self) -> None:
        """Refuse `--columns` where the result has no columns. Raises click.UsageError."""
        if self.columns:
            raise click.UsageError(
                "This is told in sentences, which have no columns. With --columns, add --json, "
                "--jsonl or --csv."
            )


def _of(context: click.Context) -> Shape:
    shape: Shape = context.meta.get(_META, Shape())
    return shape


def _note(context: click.Context, **given: Any) -> None:
    context.meta[_META] = _of(context)._replace(**given)


class _Names(Parameter[tuple[str, ...]]):
    """Names of columns, with commas between them."""

    name = "columns"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(","))
        if not all(name.removeprefix("-").strip() for name in names):
            self.fail(f"{value!r:.80} has an empty name in it: write a,b,c.", param, ctx)
        if len(names) > COLUMNS_MAX:
            self.fail(f"These are {len(names)} names; it takes {COLUMNS_MAX} at most.", param, ctx)
        return names

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the heading of a column that the command shows."""
        del param
        return beginning(_headings(ctx.command), incomplete)


def words_and_headings(
    words: Iterable[str],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return what completes a `--sort` that takes words of its own beside the headings."""

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del parameter
        return beginning(list(dict.fromkeys([*words, *_headings(context.command)])), incomplete)

    return complete


def _headings(command: click.Command) -> list[str]:
    """Return the headings of the tables that a command names: they are lists in its module.

    They may also be named by a function of that module which the command calls, or returned by its
    function `columns`, where they are imported late, or where no command names them itself.
    """
    # Only a shell asks for it.
    from ledger.cli.shown.narrowing import Column

    function = unwrap(command.callback or _headings)
    there = vars(sys.modules[function.__module__])
    named = [there.get(name) for name in function.__code__.co_names]
    called = [each for each in named if isfunction(each) and each.__module__ == function.__module__]
    named += [there.get(name) for each in called for name in each.__code__.co_names]
    own = there.get("columns")
    named += [own()] if isfunction(own) and own.__module__ == function.__module__ else []
    tables = [table for table in named if isinstance(table, list)]
    columns = [each for table in tables for each in table if isinstance(each, Column)]
    return list(dict.fromkeys(column.heading for column in columns))


NAMES = _Names()


class _TemplateType(Parameter["Template"]):
    """A template."""

    name = "template"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Template:
        """Return the template."""
        from ledger.cli.shown.templates import Template  # Few write one.

        if isinstance(value, Template):
            return value
        try:
            return Template.parse(value)
        except ValueError as error:
            self.fail(
                f"{value!r:.200} is not a template: {error}. Fields stand in braces, like "
                "{consumer_id}; a brace itself is written twice.",
                param,
                ctx,
            )


def _columns(context: click.Context, _: click.Parameter, names: tuple[str, ...] | None) -> None:
    if names:
        _note(context, columns=tuple(dict.fromkeys(names)))


def note_sort(context: click.Context, _: click.Parameter, names: tuple[str, ...] | None) -> None:
    """Note what to sort by."""
    if names:
        _note(context, sort=tuple((name.removeprefix("-"), name[0] == "-") for name in names))


def _template(context: click.Context, _: click.Parameter, template: Template | None) -> None:
    if template is not None:
        _note(context, template=template)


def _limit(context: click.Context, parameter: click.Parameter, limit: int) -> int:
    _refuse_beyond(limit)
    # The first of what is sorted are known only when all of it was read.
    if limit > 0 and _of(context).sort:
        _own_limit(context, parameter, limit)
        return 0
    return limit


def _own_limit(context: click.Context, _: click.Parameter, limit: int) -> None:
    _refuse_beyond(limit)
    if limit > 0:
        _note(context, limit=limit)


def _refuse_beyond(limit: int) -> None:
    # A query takes what is less than 0 for all; who types it means the last ones, or mistypes.
    if not 0 <= limit <= LIMIT_MAX:
        raise InvalidCursorError(
            f"--limit must be 0 or more, and at most {LIMIT_MAX}. Leave it out to see all."
        )


columns_option = click.option(
    "--columns",
    type=NAMES,
    metavar="NAME[,NAME]",
    expose_value=False,
    callback=_columns,
    help="Only these columns, in this order: by their heading, or by their name in JSON.",
)
template_option = click.option(
    "--template",
    type=_TemplateType(),
    metavar="TEXT",
    expose_value=False,
    callback=_template,
    help="Print a line of this text for each: fields in braces, by their name in JSON, such as "
    "'{consumer_id} {last_sequence:>10}'.",
)
sort_option = click.option(
    "--sort",
    type=NAMES,
    metavar="[-]NAME[,…]",
    # Before --limit, which then is about what is sorted.
    is_eager=True,
    expose_value=False,
    callback=note_sort,
    help="By this column, and then by others; with a minus, the highest first. It reads all before "
    "it prints, and holds all in memory, or with --limit N only N.",
)


def _option_of_limit(
    callback: Callable[..., Any], *, exposed: bool
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        "-n",
        "--limit",
        type=int,
        default=0,
        expose_value=exposed,
        callback=callback,
        help="At most this many; 0 means all.",
    )


limit_option = _option_of_limit(_limit, exposed=True)
"""For a command whose query takes a limit."""
own_limit_option = _option_of_limit(_own_limit, exposed=False)
"""For a command whose query takes none: no more are shown, and no more are looked for."""
