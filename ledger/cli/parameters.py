"""click's type of a parameter, generic in what it converts to; before click 8.4 it is plain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

__all__ = ["Parameter", "beginning", "files"]

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    Parameter = click.ParamType
else:

    class Parameter(click.ParamType):
        """A type of parameter."""

        def __class_getitem__(cls, _: object) -> type[Parameter]:
            """Return the same class: at run time there is nothing to choose."""
            return cls


def beginning(words: Sequence[str], incomplete: str) -> list[CompletionItem]:
    """Return the words that begin so, for a shell that completes a value."""
    # Only a shell asks for it.
    from click.shell_completion import CompletionItem

    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def files(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Let the shell complete the name of a file."""
    # Only a shell asks for it.
    from click.shell_completion import CompletionItem

    del context, parameter
    return [CompletionItem(incomplete, type="file")]
