"""A task's parameters and outputs, as the signature of its `run()` gives them.

Not to be confused with `conversion`, which makes what a file gives into what the annotations ask for.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Union, get_type_hints

from tasker.annotations import is_shape, members, peeled, shape, spelled, type_name
from tasker.errors import TaskerError
from tasker.registry import task_name, where_defined

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FunctionType

    from tasker.task import Task


class BrokenSignatureError(TaskerError):
    """The `run()` of a task cannot be read, so that no file could give it its arguments."""

    def __init__(self, task: type[Task], reason: str) -> None:
        self.task = task
        self.reason = reason
        super().__init__(f"task {task_name(task)!r} ({where_defined(task)}): {reason}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument that a task takes."""

    name: str
    annotation: Any = Any
    default: Any = None
    """What `run()` gets where the file gives nothing; without meaning where the parameter is mandatory."""
    mandatory: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a file must and may give a task, and what the task hands on."""

    task: str
    parameters: tuple[Parameter, ...] = ()
    takes_any: bool = False
    """Whether `**kwargs` takes the arguments that no parameter names."""
    outputs: Mapping[str, Any] | None = None
    """The outputs that the task declares, and their annotations; `None` where it does not declare them."""
    any_annotation: Any = Any
    """The annotation of `**kwargs`."""

    def get(self, name: str) -> Parameter | None:
        """The parameter that takes an argument of this name, be it `**kwargs`; `None` where none does."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        return Parameter(name, self.any_annotation) if self.takes_any else None


def signature(task: type[Task]) -> Signature:
    """Read the signature of the task's `run()`; raises `BrokenSignatureError`."""
    return _signature(task)  # type: ignore[arg-type]  # mypy takes the hash of a class for that of its instances


@lru_cache(maxsize=512)
def _signature(task: type[Task]) -> Signature:
    run = _function(task)
    hints = _hints(task, run)
    descriptions = {**_descriptions(task.__doc__), **_descriptions(run.__doc__)}
    named, kinds = [], {}
    for parameter in _parameters(task, run):
        kinds[parameter.kind] = hints.get(parameter.name, Any)
        if parameter.kind in _NAMED:
            named.append(_parameter(parameter, hints, descriptions))
    return Signature(
        task=task_name(task),
        parameters=tuple(named),
        takes_any=inspect.Parameter.VAR_KEYWORD in kinds,
        outputs=_outputs(task, hints.get("return")),
        any_annotation=kinds.get(inspect.Parameter.VAR_KEYWORD, Any),
    )


def describe(signature: Signature) -> str:
    """The signature in one line, in the words of a conf file: `archive(target_file_path: str, keep_last: int = 3)`."""
    parameters = [_described(parameter) for parameter in signature.parameters]
    return f"{signature.task}({', '.join([*parameters, '...'] if signature.takes_any else parameters)})"


def _described(parameter: Parameter) -> str:
    if parameter.mandatory:
        return f"{parameter.name}: {type_name(parameter.annotation)}"
    name = type_name(parameter.annotation)
    if parameter.default is None:
        name = name.removesuffix(" | null")
    return f"{parameter.name}: {name} = {spelled(parameter.default)}"


_NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


def _function(task: type[Task]) -> FunctionType:
    """The plain function behind `run`."""
    run = inspect.getattr_static(task, "run")
    function = run.__func__ if isinstance(run, (staticmethod, classmethod)) else run
    if not inspect.isfunction(function):
        raise BrokenSignatureError(task, "`run` is not a method")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise BrokenSignatureError(task, "`run()` must be a plain method, without `async` and `yield`")
    return function


def _parameters(task: type[Task], run: FunctionType) -> list[inspect.Parameter]:
    """The parameters of `run` without `self`."""
    parameters = list(inspect.signature(run).parameters.values())
    if not isinstance(inspect.getattr_static(task, "run"), staticmethod):
        parameters = _without_self(task, parameters)
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            reason = f"parameter {parameter.name!r} is positional only, and a file gives arguments by name"
            raise BrokenSignatureError(task, reason)
    return parameters


def _without_self(task: type[Task], parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise BrokenSignatureError(task, "`run()` lacks `self`")
    return parameters if parameters[0].kind is inspect.Parameter.VAR_POSITIONAL else parameters[1:]


def _parameter(given: inspect.Parameter, hints: Mapping[str, Any], descriptions: Mapping[str, str]) -> Parameter:
    annotation = hints.get(given.name, Any)
    if given.default is None and annotation is not Any:
        annotation = Union[annotation, None]  # noqa: UP007 - `|` does not know every annotation
    return Parameter(
        name=given.name,
        annotation=annotation,
        default=None if given.default is given.empty else given.default,
        mandatory=given.default is given.empty,
        description=descriptions.get(given.name, ""),
    )


# Annotations


def _hints(task: type[Task], run: FunctionType) -> dict[str, Any]:
    """The annotations of `run`, evaluated; raises `BrokenSignatureError` at the first that cannot be."""
    names = _names_in_class(task)
    try:
        return get_type_hints(run, localns=names, include_extras=True)
    except Exception:  # noqa: BLE001 - an annotation is code of the author's, and may raise anything
        return {name: _hint(task, run, name) for name in run.__annotations__}


def _hint(task: type[Task], run: FunctionType, name: str) -> Any:
    annotation = run.__annotations__[name]
    alone = SimpleNamespace(__annotations__={name: annotation})
    try:
        return get_type_hints(alone, run.__globals__, _names_in_class(task), include_extras=True)[name]
    except Exception as error:
        what = "the return annotation" if name == "return" else f"the annotation of parameter {name!r}"
        hint = "; import what it names outside of `if TYPE_CHECKING`" if isinstance(error, NameError) else ""
        reason = f"{what} cannot be resolved: {annotation}: {error}{hint}"
        raise BrokenSignatureError(task, reason) from error


def _names_in_class(task: type[Task]) -> dict[str, Any]:
    """What an annotation finds in the body of the class that defines `run`."""
    return next(dict(vars(base)) for base in task.__mro__ if "run" in vars(base))


def _outputs(task: type[Task], annotation: Any) -> Mapping[str, Any] | None:
    """The keys and types of the one shape that `run()` may answer with."""
    answers = [peeled(member)[0] for member in members(annotation)]
    shapes = [answer for answer in answers if is_shape(answer)]
    others = [answer for answer in answers if not is_shape(answer) and answer not in (bool, type(None))]
    if len(shapes) != 1 or others:
        return None
    try:
        return MappingProxyType({name: peeled(found.annotation)[0] for name, found in shape(shapes[0]).items()})
    except Exception as error:
        reason = f"the fields of {shapes[0].__name__}, its return annotation, cannot be resolved: {error}"
        raise BrokenSignatureError(task, reason) from error


# Docstrings

_ARGS = re.compile(r"^Args:[ \t]*\n(?P<body>(?:[ \t]+\S.*\n|[ \t]*\n)*)", re.MULTILINE)
_ARG = re.compile(r"^\*{0,2}(?P<name>\w+)(?: *\([^)]*\))?: *(?P<text>.*)$")


def _descriptions(docstring: str | None) -> dict[str, str]:
    """What a docstring of Google's style says of each argument, in one line each."""
    section = _ARGS.search(f"{inspect.cleandoc(docstring or '')}\n")
    descriptions: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(f"\n{section['body']}").splitlines() if section else ():
        argument = None if line.startswith((" ", "\t")) else _ARG.match(line)
        name = argument["name"] if argument else name
        descriptions[name] = f"{descriptions.get(name, '')} {(argument['text'] if argument else line).strip()}".strip()
    return descriptions
