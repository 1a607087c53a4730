"""From the call of a tracked function to its config, and back to the arguments that the function gets."""

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
        arguments: by parameter, with the defaults.
        config: what is recorded: one argument, or a mapping of them.
        config_parameter: the parameter whose argument is the config; None where the config is the mapping.
    """

    arguments: dict[str, Any]
    config: Any
    config_parameter: str | None


class Binding:
    """What is to be known about a function in order to track its calls; made once for each function.

    Args:
        function: the user's function.
        config_parameter: the name of the parameter that holds the config; None lets each call decide.
        follow_wrapped: whether the signature is that of what a decorator below wraps.

    Raises:
        UsageError: if there is no such parameter.
    """

    def __init__(
        self, function: Callable[..., Any], config_parameter: str | None = None, *, follow_wrapped: bool = True
    ) -> None:
        self._full = inspect.signature(function, follow_wrapped=follow_wrapped)
        known = getattr(inspect.unwrap(function), "__globals__", {})
        parameters = list(self._full.parameters.values())
        self._receiver = next((parameter.name for parameter in parameters if _is_receiver(parameter, known)), None)
        self.signature = self._full.replace(
            parameters=[parameter for parameter in parameters if parameter.name != self._receiver]
        )
        self._settings = [
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
        """Match the arguments of a call.

        Raises:
            TypeError: if they do not fit, as the function itself would raise it.
        """
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        parameter = self._config_parameter or self._only_config(bound.arguments)
        config = self._mapping(bound.arguments) if parameter is None else bound.arguments[parameter]
        return BoundCall(bound.arguments, config, parameter)

    def _only_config(self, arguments: dict[str, Any]) -> str | None:
        if len(self._settings) != 1:
            return None
        (only,) = self._settings
        is_variadic = only.kind in {only.VAR_POSITIONAL, only.VAR_KEYWORD}
        return only.name if not is_variadic and configs.is_config(arguments[only.name]) else None

    def _mapping(self, arguments: dict[str, Any]) -> dict[str, Any]:
        mapping = {
            parameter.name: arguments[parameter.name]
            for parameter in self._settings
            if parameter.kind is not parameter.VAR_KEYWORD
        }
        for parameter in self._settings:
            if parameter.kind is parameter.VAR_KEYWORD:
                mapping |= {self._key(name): value for name, value in arguments[parameter.name].items()}
        return mapping

    def _key(self, keyword: str) -> str:
        # f(a, /, **options) can be called with an option "a".
        return f"**{keyword}" if keyword in self.signature.parameters else keyword

    def arguments_for(
        self, call: BoundCall, experiment: Experiment, *, is_fixed: bool = False
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and keyword arguments for the function itself.

        Args:
            call: the bound call.
            experiment: the live experiment, whose config has its `save_dir` pointed at the experiment.
            is_fixed: whether its config is not from the arguments at all.
        """
        arguments = dict(call.arguments)
        if is_fixed:
            pass
        elif call.config_parameter is not None:
            arguments[call.config_parameter] = experiment.config
        else:
            self._put_back(arguments, experiment.config)
        if self._receiver is not None:
            arguments[self._receiver] = experiment
        full = inspect.BoundArguments(
            self._full, OrderedDict((name, arguments[name]) for name in self._full.parameters)
        )
        return full.args, full.kwargs

    def _put_back(self, arguments: dict[str, Any], config: dict[str, Any]) -> None:
        for parameter in self._settings:
            name = parameter.name
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments[name] = {keyword: config[self._key(keyword)] for keyword in arguments[name]}
            else:
                arguments[name] = config[name]


def _is_receiver(parameter: inspect.Parameter, known: dict[str, Any]) -> bool:
    if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
        return False
    annotation = parameter.annotation
    if isinstance(annotation, str):
        # A module with postponed annotations leaves their text.
        annotated = _names_experiment(annotation.strip("'\" "), known)
    else:
        annotated = annotation is Experiment
    return annotated or (parameter.name == _RECEIVER_NAME and parameter.default is parameter.empty)


def _names_experiment(text: str, known: dict[str, Any]) -> bool:
    first, *rest = text.split(".")
    if first not in known:
        # Imported for type checkers only, or inside of a function: the text is all there is.
        return text.rpartition(".")[2] == Experiment.__name__
    found = known[first]
    for name in rest:
        found = getattr(found, name, None)
    return found is Experiment
