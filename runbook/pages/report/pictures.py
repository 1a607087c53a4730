"""The pictures of an experiment: images as data URIs, saved plotly figures as JSON-compatible data."""

from __future__ import annotations

import base64
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbook.typing import Json, JsonObject

_TYPES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
_MOST_FILES: Final = 2_000
_LARGEST: Final = 1_500_000
"""The most bytes of an image or a figure in the page."""


class Album:
    """Collects pictures until the room for them is used up.

    Args:
        room: the bytes of the page that pictures may take.
    """

    def __init__(self, room: int) -> None:
        self._room = room

    def collect(self, results: Path) -> list[Json]:
        """The pictures below a folder, sorted by name; those for which there is no room have only a name and a reason.

        Args:
            results: the folder `results/` of an experiment.
        """
        found: list[Json] = []
        for path in _list_files(results):
            suffix = path.suffix.lower()
            try:
                if suffix in _TYPES:
                    found.append({"name": _format_name(path, results), **self._load_image(path, _TYPES[suffix])})
                elif suffix == ".json" and _looks_like_figure(path):
                    found.append({"name": _format_name(path, results), **self._load_figure(path)})
            except (OSError, ValueError, RecursionError) as error:
                found.append({"name": _format_name(path, results), "problem": f"cannot be read ({error})"})
        return found

    def _load_image(self, path: Path, kind: str) -> JsonObject:
        size = path.stat().st_size
        if problem := self._explain_too_large(size * 4 // 3):
            return {"problem": problem}
        text = base64.b64encode(path.read_bytes()).decode("ascii")
        self._room -= len(text)
        return {"source": f"data:{kind};base64,{text}"}

    def _load_figure(self, path: Path) -> JsonObject:
        if problem := self._explain_too_large(path.stat().st_size):
            return {"problem": problem}
        figure = json.loads(path.read_bytes(), parse_constant=lambda _: None, parse_float=_parse_finite)
        if not (isinstance(figure, dict) and isinstance(figure.get("data"), list)):
            raise ValueError("it is no plotly figure")  # noqa: TRY004 - the content of a file, not an argument
        data, layout = figure["data"], figure.get("layout")
        kept: JsonObject = {
            "data": [trace for trace in data if isinstance(trace, dict)],
            "layout": layout if isinstance(layout, dict) else {},
        }
        left_out = _remove_addresses(kept)
        self._room -= len(json.dumps(kept))
        return {"figure": kept} | ({"remark": "pictures from elsewhere are not loaded"} if left_out else {})

    def _explain_too_large(self, size: int) -> str | None:
        if size > _LARGEST:
            return f"is not in the report: it takes {size / 1e6:.1f} MB, more than {_LARGEST / 1e6:.1f} MB"
        if size > self._room:
            return f"is not in the report: it takes {size / 1e6:.1f} MB, and the report is full"
        return None


def _list_files(results: Path) -> Iterator[Path]:
    # Links are not followed: an imported experiment could link to any file of this machine.
    count = 0
    for folder, folders, names in os.walk(results):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            count += 1
            if count > _MOST_FILES:
                return
            if not path.is_symlink():
                yield path


def _format_name(path: Path, results: Path) -> str:
    return f"results/{path.relative_to(results).as_posix()}"


def _looks_like_figure(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(200).lstrip().removeprefix(b"{").lstrip().startswith(b'"data"')


def _parse_finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _remove_addresses(figure: Json) -> bool:
    """Remove the addresses of pictures, which a page without a network cannot load; True if there were any."""
    found = False
    unfinished = [figure]
    while unfinished:
        item = unfinished.pop()
        if isinstance(item, dict):
            source = item.get("source")
            if isinstance(source, str) and not source.startswith("data:"):
                del item["source"]
                found = True
            unfinished.extend(item.values())
        elif isinstance(item, list):
            unfinished.extend(item)
    return found
