"""The pictures of an experiment: images as data URIs, saved plotly figures as data."""

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
"""At most so many bytes has an image or a figure that goes into the page."""


class Album:
    """Takes pictures as long as there is room.

    Args:
        room: how many bytes of the page there are for pictures.
    """

    def __init__(self, room: int) -> None:
        self._room = room

    def of(self, results: Path) -> list[Json]:
        """The pictures below a folder, by name; one for which there is no room is named all the same.

        Args:
            results: the folder with the results of an experiment.
        """
        found: list[Json] = []
        for path in _files(results):
            suffix = path.suffix.lower()
            try:
                if suffix in _TYPES:
                    found.append({"name": _name(path, results), **self._image(path, _TYPES[suffix])})
                elif suffix == ".json" and _looks_like_figure(path):
                    found.append({"name": _name(path, results), **self._figure(path)})
            except (OSError, ValueError, RecursionError) as error:
                found.append({"name": _name(path, results), "problem": f"cannot be read ({error})"})
        return found

    def _image(self, path: Path, kind: str) -> JsonObject:
        size = path.stat().st_size
        if problem := self._too_large(size * 4 // 3):
            return {"problem": problem}
        text = base64.b64encode(path.read_bytes()).decode("ascii")
        self._room -= len(text)
        return {"source": f"data:{kind};base64,{text}"}

    def _figure(self, path: Path) -> JsonObject:
        if problem := self._too_large(path.stat().st_size):
            return {"problem": problem}
        figure = json.loads(path.read_bytes(), parse_constant=lambda _: None, parse_float=_finite)
        if not (isinstance(figure, dict) and isinstance(figure.get("data"), list)):
            raise ValueError("it is no plotly figure")  # noqa: TRY004 - the content of a file, not an argument
        data, layout = figure["data"], figure.get("layout")
        kept: JsonObject = {
            "data": [trace for trace in data if isinstance(trace, dict)],
            "layout": layout if isinstance(layout, dict) else {},
        }
        left_out = _without_addresses(kept)
        self._room -= len(json.dumps(kept))
        return {"figure": kept} | ({"remark": "pictures from elsewhere are not loaded"} if left_out else {})

    def _too_large(self, size: int) -> str | None:
        if size > _LARGEST:
            return f"is not in the report: it takes {size / 1e6:.1f} MB, more than {_LARGEST / 1e6:.1f} MB"
        if size > self._room:
            return f"is not in the report: it takes {size / 1e6:.1f} MB, and the report is full"
        return None


def _files(results: Path) -> Iterator[Path]:
    # Links are not followed: those of an experiment from elsewhere could lead to any file of this machine.
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


def _name(path: Path, results: Path) -> str:
    return f"results/{path.relative_to(results).as_posix()}"


def _looks_like_figure(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(200).lstrip().removeprefix(b"{").lstrip().startswith(b'"data"')


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _without_addresses(figure: Json) -> bool:
    """Take out the addresses of pictures, which a page without a network cannot load; whether there were any."""
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
