"""The HTML file of a report, from the skeleton, the style, the scripts and the data.

The page may run only its own two scripts, which it knows by their hashes, and may load nothing
(Content Security Policy Level 3, https://www.w3.org/TR/CSP3/). The texts of experiments are data in a block of JSON,
never markup.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Final

import attrs

import runbook
from runbook import errors

if TYPE_CHECKING:
    from runbook.typing import JsonObject

_SCRIPTS: Final = ("shared.js", "table.js", "charts.js", "details.js", "page.js")
_ESCAPES: Final = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


@attrs.frozen
class Bundle:
    """Plotly's own script.

    Args:
        packed: the script, compressed by gzip, in base64: a third of its size.
        digest: the hash of the script, which allows the page to run it.
        version: the version of plotly.js.
    """

    packed: str
    digest: str
    version: str


def load_plotly() -> Bundle:
    """The script of the installed plotly.

    Raises:
        MissingExtraError: if plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs, get_plotlyjs_version
    except ImportError as error:
        raise errors.MissingExtraError("plotly", "report", "the charts of a report are drawn by it") from error
    script = get_plotlyjs().encode()
    packed = base64.b64encode(gzip.compress(script, mtime=0)).decode("ascii")
    return Bundle(packed, _hash(script), get_plotlyjs_version())


def render(data: JsonObject, bundle: Bundle) -> bytes:
    """The HTML page as bytes.

    Args:
        data: the data of the page.
        bundle: the script that draws its charts.
    """
    script = "\n".join(["(() => {", '"use strict";', *(_read_asset(name) for name in _SCRIPTS), "})();"])
    # Only scripts with these hashes run. Plotly sets styles in many places, which can neither load nor run anything.
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash(script.encode())} {bundle.digest}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    facts: JsonObject = {"version": runbook.__version__, "plotly": bundle.version}
    page = Template(_read_asset("page.html")).substitute(
        policy=policy,
        title=html.escape(f"{data['base_dir']} · runbook report"),
        style=_read_asset("page.css"),
        data=json_block({**data, **facts}),
        bundle=bundle.packed,
        script=script,
    )
    # A name may hold half a surrogate pair, which UTF-8 cannot encode; its escape is valid in the JSON.
    return page.encode(errors="backslashreplace")


def json_block(data: JsonObject) -> str:
    r"""JSON for a `<script type="application/json">`, in which no text can end the script.

    Example:
        >>> json_block({"name": "</script><script>alert(1)</script>"})
        '{"name":"\\u003c/script\\u003e\\u003cscript\\u003ealert(1)\\u003c/script\\u003e"}'
    """
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def _hash(script: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode('ascii')}'"


def _read_asset(name: str) -> str:
    return resources.files("runbook.pages").joinpath("assets").joinpath(name).read_text(encoding="utf-8")
