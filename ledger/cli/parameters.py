"""click's type of a parameter, generic in what it converts to; before click 8.4 it is plain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

__all__ = ["Parameter"]

if TYPE_CHECKING:
    Parameter = click.ParamType
else:

    class Parameter(click.ParamType):
        """A type of parameter."""

        def __class_getitem__(cls, _: object) -> type[Parameter]:
            """Return the same class: at run time there is nothing to choose."""
            return cls
