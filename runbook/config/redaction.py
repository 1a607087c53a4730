"""Redaction of secrets: settings with the name and values with the form of a secret become "<redacted>"."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

from runbook import errors
from runbook.hints import Hint
from runbook.serialize.jsonable import to_jsonable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from runbook.typing import Json, JsonObject

REDACTED: Final = "<redacted>"
WORDS: Final = ("secrets", "off")

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS: Final = frozenset(
    {"password", "passwd", "passphrase", "pwd", "secret", "secrets", "apikey", "credential", "credentials", "bearer"}
)
_SECRET_PAIRS: Final = frozenset(
    {
        *((kind, "key") for kind in ("api", "access", "private", "secret", "account", "encryption", "signing", "ssh")),
        *((kind, "token") for kind in ("access", "auth", "api", "hub", "hf", "refresh", "session", "id", "bot")),
        *((kind, "token") for kind in ("github", "gitlab", "wandb", "huggingface", "slack", "openai", "secret")),
        *((service, "key") for service in ("openai", "anthropic", "wandb", "hf", "huggingface", "google", "aws")),
        ("connection", "string"),
        ("auth", "header"),
    }
)
_SECRET_NAMES: Final = frozenset({"token", "auth", "authorization", "dsn", "pat"})
_HARMLESS: Final = re.compile(
    # A count, a switch or the place where the secret is found is no secret.
    r"|\$\{[^}]*\}|\$[A-Za-z_]+|env:.*|true|false|none|null|[0-9.]+",
    re.IGNORECASE,
)

_SHAPES: Final = re.compile(
    r"\b(?:"
    r"sk-[A-Za-z0-9_-]{16,}"
    r"|hf_[A-Za-z0-9]{16,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}"
    r"|github_pat_[A-Za-z0-9_]{20,}"
    r"|glpat-[A-Za-z0-9_-]{16,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|xox[abeprs]-[A-Za-z0-9-]{10,}"
    r"|AIza[A-Za-z0-9_-]{30,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"
    r")"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s]{0,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
# In an address of ssh the user is kept. Elsewhere it is redacted too: most hosts of code accept a token as the user.
_ADDRESS: Final = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,20}://)(?P<user>[^/\s:@]{0,500})(?::[^/\s@]{0,500})?@")
_SCHEMES_WITH_USERS: Final = frozenset({"ssh://", "git+ssh://", "sftp://"})


def redact(data: Json) -> Json:
    """A copy of JSON-compatible data with its secrets redacted.

    Example:
        >>> redact({"lr": 0.1, "hub_token": "abc", "max_tokens": 128})
        {'lr': 0.1, 'hub_token': '<redacted>', 'max_tokens': 128}
    """
    if isinstance(data, dict):
        return {key: _redact_setting(key, value) for key, value in data.items()}
    if isinstance(data, list):
        return [redact(item) for item in data]
    return redact_text(data) if isinstance(data, str) else data


def _redact_setting(key: str, value: Json) -> Json:
    if not is_secret_name(key):
        return redact(value)
    if isinstance(value, str):
        return value if _HARMLESS.fullmatch(value) else REDACTED
    if isinstance(value, list):
        return [_redact_setting(key, item) for item in value]
    if isinstance(value, dict):
        # Bytes and the like are recorded by their repr, which shows their content.
        return {inner: _redact_setting(key if inner == "__repr__" else inner, item) for inner, item in value.items()}
    return value


@functools.lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a setting of this name holds a secret: `api_key` and `hubToken` do, `max_tokens` and `pad_token` do not.

    Whole words of the name are compared, so that `tokenizer` and `secretary` are no secrets.
    """
    words = [word.lower() for word in _WORD.findall(name)]
    if not words:
        return False
    if len(words) == 1:
        return words[0] in _SECRET_NAMES | _SECRET_WORDS
    return words[-1] in _SECRET_WORDS or tuple(words[-2:]) in _SECRET_PAIRS


def redact_text(text: str) -> str:
    """The text with its secrets redacted: keys of known services, private keys, and passwords in addresses."""
    if "://" in text:
        text = _ADDRESS.sub(_without_password, text)
    return _SHAPES.sub(REDACTED, text)


def _without_password(match: re.Match[str]) -> str:
    scheme, user = match["scheme"], match["user"]
    kept = f"{user}@" if scheme in _SCHEMES_WITH_USERS else f"{REDACTED}@"
    return scheme + kept


def without_credentials(address: str) -> str:
    """The address of a repository without the user and the password in it.

    Example:
        >>> without_credentials("https://me:token@example.org/x.git")
        'https://example.org/x.git'

    The user of ssh stays: it is a part of the address, not a secret.

        >>> without_credentials("ssh://git:pw@example.org/x.git"), without_credentials("git@example.org:x.git")
        ('ssh://git@example.org/x.git', 'git@example.org:x.git')
    """
    if "ssh://" in address:
        return re.sub(r"(://[^/@:]*):[^/]*@", r"\1@", address)
    return re.sub(r"://[^/]*@", "://", re.sub(r"(://[^?#]*)[?#].*", r"\1", address))


def redact_arguments(arguments: Iterable[str]) -> tuple[str, ...]:
    """The command line with its secrets redacted.

    These are `--api-key X`, `--api-key=X`, `model.token=X`, and what `redact_text` redacts.
    """
    result = []
    name_before = ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if equals and is_secret_name(_last_part(name)):
            result.append(argument if _HARMLESS.fullmatch(value) else f"{name}={REDACTED}")
        elif name_before and not argument.startswith("-"):
            result.append(argument if _HARMLESS.fullmatch(argument) else REDACTED)
        else:
            result.append(redact_text(argument))
        name_before = argument if argument.startswith("-") and not equals and is_secret_name(argument) else ""
    return tuple(result)


def _last_part(name: str) -> str:
    return name.rpartition(".")[2]


def redactor(choice: str | Callable[[JsonObject], Mapping[str, Any]]) -> Callable[[JsonObject], JsonObject]:
    """The function that redacts a config before it is hashed and written.

    Args:
        choice: "secrets", "off", or a function that takes the config as JSON-compatible data and returns the
            one to record.

    Raises:
        UsageError: for any other word.
    """
    if callable(choice):
        return lambda config: _redact_by(choice, config)
    if choice == "secrets":
        return lambda config: {key: _redact_setting(key, value) for key, value in config.items()}
    if choice == "off":
        return lambda config: config
    hint = Hint("use 'secrets', 'off' or a function of the plain config", None)
    raise errors.UsageError(f"redact={choice!r} is unknown", hint)


def _redact_by(function: Callable[[JsonObject], Mapping[str, Any]], config: JsonObject) -> JsonObject:
    result = to_jsonable(function(config))
    if not isinstance(result, dict):
        hint = Hint("it must give the mapping that is to be recorded", None)
        raise errors.UsageError(f"redact= gave a {type(result).__name__} for the config", hint)
    return result
