"""Figures of matplotlib and plotly as files: the suffix of the name decides the format.

Neither library is imported here: a program that passes a figure has imported it.
"""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Any, Final

from runbook import errors
from runbook.serialize.scalars import package_name, type_name

_MATPLOTLIB: Final = (".png", ".svg", ".pdf", ".jpg", ".jpeg", ".webp")
_PLOTLY: Final = (".json", ".html", ".png", ".svg", ".pdf", ".jpg", ".jpeg", ".webp")


def as_file(figure: object, name: str) -> tuple[str, bytes]:
    """The file name and the content of the file for a figure.

    Args:
        figure: one of matplotlib or plotly, or a part of a matplotlib figure, such as `Axes`.
        name: what it is called; without a suffix it gets `.png` for matplotlib and `.json` for plotly.

    Raises:
        TypeError: if it is no figure.
        UnknownSuffixError: if the suffix names no format that the library writes.
        MissingExtraError: if kaleido is not installed, with which plotly makes images.
    """
    if _is_of(figure, "plotly.BaseFigure"):
        filename, suffix = _with_suffix(name, _PLOTLY)
        return filename, _of_plotly(figure, suffix)
    drawn = figure if _is_of(figure, "matplotlib.FigureBase") else getattr(figure, "figure", None)
    if _is_of(drawn, "matplotlib.FigureBase"):
        filename, suffix = _with_suffix(name, _MATPLOTLIB)
        return filename, _of_matplotlib(drawn, suffix)
    raise TypeError(
        f"a {type_name(type(figure))} is no figure of matplotlib or plotly; pass the figure itself, such as plt.gcf(), "
        "or use save_artifact for an image file"
    )


def _is_of(value: object, name: str) -> bool:
    return any(package_name(cls) == name for cls in type(value).__mro__)


def _with_suffix(name: str, known: tuple[str, ...]) -> tuple[str, str]:
    suffix = Path(name).suffix.lower()
    if not suffix:
        return f"{name}{known[0]}", known[0]
    if suffix not in known:
        raise errors.UnknownSuffixError(name, known)
    return name, suffix


def _of_matplotlib(figure: Any, suffix: str) -> bytes:
    # A part of a figure is saved as the whole, which alone has a canvas.
    whole = figure.get_figure(root=True) if hasattr(figure, "subfigs") and not hasattr(figure, "savefig") else figure
    content = io.BytesIO()
    whole.savefig(content, format=suffix.removeprefix("."))
    return content.getvalue()


def _of_plotly(figure: Any, suffix: str) -> bytes:
    text: str
    if suffix == ".json":
        text = figure.to_json()
        return text.encode()
    if suffix == ".html":
        text = figure.to_html()
        return text.encode()
    if importlib.util.find_spec("kaleido") is None:
        raise errors.MissingExtraError(
            "kaleido", "figures", f"plotly makes {suffix} files with it, but .json and .html without"
        )
    content: bytes = figure.to_image(format=suffix.removeprefix("."))
    return content
