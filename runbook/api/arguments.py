"""The config of a tracked call, from its arguments, and the arguments that the function gets."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import attrs

from runbook import errors
from runbook.config import settings as configs
from runbook.hints import Hint
from runbook.run.experiment import Experiment

if TYPE_CHECKING:
    from collections.abc import Callable

_INSTANCE_NAMES: Final = frozenset({"self", "cls", "mcs"})
_RECEIVER_NAME: Final = "exp"


@attrs.define
class BoundCall:
    """One call whose arguments have been matched to the parameters.

    Args:
        arguments: the arguments by parameter, defaults included.
        config: the config that is recorded: one argument, or a mapping of all.
        config_parameter: the parameter whose argument is the config; None if the config is a mapping of all.
    """

    arguments: dict[str, Any]
    config: Any
    config_parameter: str | None


class Binding:
    """Matches the arguments of a function's calls to its parameters; made once for each function.

    Args:
        function: the user's function.
        config_parameter: the name of the parameter that holds the config; None lets each call decide.
        follow_wrapped: whether to use the signature of the function that a decorator below has wrapped.

    Raises:
        UsageError: if the function has no such parameter.
    """

    def __init__(
        self, function: Callable[..., Any], config_parameter: str | None = None, *, follow_wrapped: bool = True
    ) -> None:
        self._function_signature = inspect.signature(function, follow_wrapped=follow_wrapped)
        names = getattr(inspect.unwrap(function), "__globals__", {})
        parameters = list(self._function_signature.parameters.values())
        self._receiver = next((parameter.name for parameter in parameters if _is_receiver(parameter, names)), None)
        self.signature = self._function_signature.replace(
            parameters=[parameter for parameter in parameters if parameter.name != self._receiver]
        )
        self._recorded = [
            parameter
            for position, parameter in enumerate(self.signature.parameters.values())
            if not (position == 0 and parameter.name in _INSTANCE_NAMES)
        ]
        if config_parameter is not None and config_parameter not in self.signature.parameters:
            raise errors.UsageError(
                f"{function.__qualname__}() has no parameter {config_parameter!r} to take as its config",
                Hint(f"it has: {', '.join(self.signature.parameters) or 'none'}", None),
            )
        self._config_parameter = config_parameter

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> BoundCall:
        """The arguments of a call, matched to the parameters.

        Raises:
            TypeError: if they do not fit; it is the error that the function itself would raise.
        """
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        parameter = self._config_parameter or self._find_only_config(bound.arguments)
        config = self._build_mapping(bound.arguments) if parameter is None else bound.arguments[parameter]
        return BoundCall(bound.arguments, config, parameter)

    def _find_only_config(self, arguments: dict[str, Any]) -> str | None:
        if len(self._recorded) != 1:
            return None
        (only,) = self._recorded
        is_variadic = only.kind in {only.VAR_POSITIONAL, only.VAR_KEYWORD}
        return only.name if not is_variadic and configs.is_config(arguments[only.name]) else None

    def _build_mapping(self, arguments: dict[str, Any]) -> dict[str, Any]:
        mapping = {
            parameter.name: arguments[parameter.name]
            for parameter in self._recorded
            if parameter.kind is not parameter.VAR_KEYWORD
        }
        for parameter in self._recorded:
            if parameter.kind is parameter.VAR_KEYWORD:
                mapping |= {self._key_for(name): value for name, value in arguments[parameter.name].items()}
        return mapping

    def _key_for(self, keyword: str) -> str:
        # The keywords of f(a, /, **options) may have an "a", too.
        return f"**{keyword}" if keyword in self.signature.parameters else keyword

    def arguments_for(
        self, call: BoundCall, experiment: Experiment, *, is_fixed: bool = False
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and keyword arguments for the function itself.

        Args:
            call: the bound call.
            experiment: the live experiment; the `save_dir` of its config is its checkpoints folder.
            is_fixed: whether the config comes from the decorator and not from the arguments.
        """
        arguments = dict(call.arguments)
        if is_fixed:
            pass
        elif call.config_parameter is not None:
            arguments[call.config_parameter] = experiment.config
        else:
            self._restore_mapping(arguments, experiment.config)
        if self._receiver is not None:
            arguments[self._receiver] = experiment
        full = inspect.BoundArguments(
            self._function_signature,
            OrderedDict((name, arguments[name]) for name in self._function_signature.parameters),
        )
        return full.args, full.kwargs

    def _restore_mapping(self, arguments: dict[str, Any], config: dict[str, Any]) -> None:
        for parameter in self._recorded:
            name = parameter.name
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments[name] = {keyword: config[self._key_for(keyword)] for keyword in arguments[name]}
            else:
                arguments[name] = config[name]


def _is_receiver(parameter: inspect.Parameter, names: dict[str, Any]) -> bool:
    if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
        return False
    annotation = parameter.annotation
    if isinstance(annotation, str):
        # In a module with postponed annotations, an annotation is a string.
        annotated = _is_experiment_annotation(annotation.strip("'\" "), names)
    else:
        annotated = annotation is Experiment
    return annotated or (parameter.name == _RECEIVER_NAME and parameter.default is parameter.empty)


def _is_experiment_annotation(text: str, names: dict[str, Any]) -> bool:
    first, *rest = text.split(".")
    if first not in names:
        # The name is imported for type checkers only, or inside of a function, so only the text can be compared.
        return text.rpartition(".")[2] == Experiment.__name__
    found = names[first]
    for name in rest:
        found = getattr(found, name, None)
    return found is Experiment
