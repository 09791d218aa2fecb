"""Show signatures that only a running program has, and that griffe, a reader of source, lacks.

These are the `__init__` that attrs writes for a class of values, the methods of `Ledger`, which are
functions of other files, and the coroutines of `AsyncLedger`, most of which are made from them.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import sys
from collections.abc import Callable

import attrs
import griffe

KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: griffe.ParameterKind.positional_only,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: griffe.ParameterKind.positional_or_keyword,
    inspect.Parameter.VAR_POSITIONAL: griffe.ParameterKind.var_positional,
    inspect.Parameter.KEYWORD_ONLY: griffe.ParameterKind.keyword_only,
    inspect.Parameter.VAR_KEYWORD: griffe.ParameterKind.var_keyword,
}


EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


class Signatures(griffe.Extension):
    """Return what is public the signature that it has when the program runs."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Show an example as code; Markdown would take its prompt for a quotation."""
        if obj.docstring:
            obj.docstring.value = EXAMPLE.sub(fenced, obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        for module in (pkg, *pkg.modules.values()):
            # `ledger.aio` is public, and `ledger` does not import it.
            if "__all__" in module.members:
                imported = importlib.import_module(module.path)
                # Some names are imported when they are first used.
                for name in imported.__all__:
                    getattr(imported, name)
        complete(pkg)


def fenced(example: re.Match[str]) -> str:
    return f"```pycon\n{example[0]}\n```"


def complete(place: griffe.Module | griffe.Class) -> None:
    for name, member in list(place.members.items()):
        if isinstance(member, griffe.Alias) or name.startswith("_"):
            continue
        found = running(member.path)
        if isinstance(member, griffe.Module | griffe.Class):
            complete(member)
        if isinstance(member, griffe.Class) and inspect.isclass(found) and attrs.has(found):
            if "__init__" not in member.members:
                member.set_member("__init__", made(found, member))
        elif isinstance(member, griffe.Attribute) and inspect.isfunction(found):
            place.set_member(name, wrapped(name, found, member))
        elif isinstance(member, griffe.Function) and not member.docstring:
            member.docstring = own_docstring(found, member)


def running(path: str) -> object:
    """Return what `path` names in the program; None if its module is not imported by it."""
    module, _, name = path.rpartition(".")
    if path in sys.modules or not module:
        return sys.modules.get(path)
    return getattr(running(module), name, None)


def made(value: type, cls: griffe.Class) -> griffe.Function:
    own = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
    return griffe.Function(
        "__init__", parameters=griffe.Parameters(own, *parameters(value, cls)), parent=cls
    )


def wrapped(name: str, found: Callable[..., object], member: griffe.Attribute) -> griffe.Function:
    function = griffe.Function(
        name,
        lineno=member.lineno,
        parameters=griffe.Parameters(*parameters(found, None)),
        parent=member.parent,
        returns=awaited(found) if for_coroutines(member) else told(found),
    )
    function.docstring = member.docstring or own_docstring(found, member)
    if inspect.iscoroutinefunction(found):
        function.labels.add("async")
    return function


def own_docstring(found: object, member: griffe.Object) -> griffe.Docstring:
    text = inspect.getdoc(found) or ""
    # The example of a method of `Ledger` does not await. `on_object` fences the others.
    if for_coroutines(member):
        text = EXAMPLE.sub("", text)
    return griffe.Docstring(text, parent=member)


def for_coroutines(member: griffe.Object) -> bool:
    return member.parent is not None and member.parent.name.startswith("Async")


def told(found: Callable[..., object]) -> str:
    return str(inspect.signature(found).return_annotation)


def awaited(found: Callable[..., object]) -> str:
    annotation = told(found)
    if inspect.iscoroutinefunction(found):
        return annotation
    return {"Ledger": "AsyncLedger"}.get(annotation, f"Async{annotation}")


def parameters(found: Callable[..., object], cls: griffe.Class | None) -> list[griffe.Parameter]:
    return [parameter(each, cls) for each in inspect.signature(found).parameters.values()]


def parameter(each: inspect.Parameter, cls: griffe.Class | None) -> griffe.Parameter:
    # A class says what its field holds; the converter of the field may take more.
    field = cls.members.get(each.name) if cls else None
    # `self` needs no type.
    said = None if each.annotation is each.empty or each.name == "self" else str(each.annotation)
    return griffe.Parameter(
        each.name,
        annotation=getattr(field, "annotation", None) or said,
        kind=KINDS[each.kind],
        default=None if each.default is each.empty else shown(each.default),
    )


def shown(default: object) -> str:
    if isinstance(default, enum.Enum):
        return f"{type(default).__name__}.{default.name}"
    return getattr(default, "__name__", None) or repr(default)
