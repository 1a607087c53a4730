"""Writing a report into a file of limited size."""

from __future__ import annotations

import json
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runbook import errors
from runbook.pages.report import curves as curves_
from runbook.pages.report.data import collect
from runbook.pages.report.page import load_plotly, render
from runbook.pages.report.pictures import Album
from runbook.storage.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runbook import ExperimentManager
    from runbook.pages.report.data import Collected
    from runbook.typing import Json, JsonObject, StrPath

_PAGE_BYTES: Final = 5_800_000
_CURVE_BYTES: Final = 2_900_000


def write_report(
    manager: ExperimentManager,
    ids: Sequence[str] | None,
    path: StrPath,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write experiments into one HTML file that opens from disk, without a network.

    It has a table of all experiments, and for the newest 50 the curves, the settings in which they differ, the
    environment, notes, tracebacks and pictures. It stays below 6 MB: long histories are thinned so that their spikes
    stay, pictures for which there is no room are only named, and the page has remarks about both.

    Args:
        manager: the manager of the base directory.
        ids: ids, beginnings of ids or names; None for all experiments of the base directory.
        path: the file to make or to replace, `report.html` for example; its folder must exist.
        progress: called with the number of histories that are read, and the number of all.

    Returns:
        The file, as an absolute path.

    Raises:
        ExperimentNotFoundError: if an experiment does not exist.
        MissingExtraError: if plotly is not installed, whose charts the page uses.
        ReportTargetError: if the file cannot be written.

    Example:
        >>> write_report(manager, None, "report.html")  # doctest: +SKIP
        PosixPath('/home/me/project/report.html')
    """
    target = Path(path).expanduser().absolute()
    _check_target(target)
    bundle = load_plotly()
    collected = collect(manager, [ids] if isinstance(ids, str) else ids, progress)
    page = render(_fit(collected, _PAGE_BYTES - len(bundle.packed)), bundle)
    try:
        write_whole(target, page)
    except OSError as error:
        raise errors.ReportTargetError(target, f"cannot be written ({error.strerror or error})") from error
    return target


def _check_target(target: Path) -> None:
    if target.is_dir():
        raise errors.ReportTargetError(target, "is a folder, and a report is one file")
    if not target.parent.is_dir():
        raise errors.ReportTargetError(target, f"has no folder: there is no {target.parent}")
    # A file `report.pdf` that holds HTML would not open in any viewer.
    if mimetypes.guess_type(target.name)[0] not in {None, "text/html"}:
        raise errors.ReportTargetError(target, f"is called {target.suffix}, and a report is HTML")


def _fit(collected: Collected, room: int) -> JsonObject:
    """The data of the page with curves and pictures, thinned so that it fits into `room` bytes."""
    data = dict(collected.data)
    room -= len(json.dumps(data, ensure_ascii=False).encode(errors="replace"))
    means = curves_.average_groups(collected.curves, collected.groups)
    limit = curves_.choose_limit([*collected.curves, *means], min(_CURVE_BYTES, room))
    packing = curves_.Packing()
    data["curves"] = [packing.pack(curve, limit) for curve in collected.curves]
    data["means"] = [packing.pack(mean, limit) for mean in means]
    data["steps"] = list(packing.steps)
    data["limit"] = limit
    room -= len(json.dumps([data["curves"], data["means"], data["steps"]]))
    album = Album(max(0, room))
    pictures: list[Json] = [list(album.collect(view.results_dir)) for view in collected.views]
    data["pictures"] = pictures
    # Only the table, which has all experiments, can exceed the size of the page.
    too_many = ["It is larger than 6 MB because of the number of experiments."] if room < 0 else []
    data["remarks"] = [*collected.remarks, *too_many]
    return data
