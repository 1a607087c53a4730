"""Writing a report: what was collected, within the bytes that a page may have."""

from __future__ import annotations

import json
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runbook import errors
from runbook.pages.report import curves as curves_
from runbook.pages.report.data import collect
from runbook.pages.report.page import plotly_bundle, rendered
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

    It has a table of all of them, and of the newest 50 the curves, the settings in which they differ, the environment,
    notes, tracebacks and pictures. It stays below 6 MB: long histories are thinned so that their spikes stay, pictures
    for which there is no room are only named, and the page says so.

    Args:
        manager: of the base directory.
        ids: ids, beginnings of ids or names; None means all experiments of the base directory.
        path: the file to make or to replace, `report.html` for example; its folder must exist.
        progress: called with how many histories are read, and how many there are.

    Returns:
        The file, as an absolute path.

    Raises:
        ExperimentNotFoundError: if there is no such experiment.
        MissingExtraError: if plotly is not installed, whose charts the page uses.
        ReportTargetError: if the file cannot be made there.

    Example:
        >>> write_report(manager, None, "report.html")  # doctest: +SKIP
        PosixPath('/home/me/project/report.html')
    """
    target = Path(path).expanduser().absolute()
    _check(target)
    bundle = plotly_bundle()
    collected = collect(manager, [ids] if isinstance(ids, str) else ids, progress)
    page = rendered(_within(collected, _PAGE_BYTES - len(bundle.packed)), bundle)
    try:
        write_whole(target, page)
    except OSError as error:
        raise errors.ReportTargetError(target, f"cannot be written ({error.strerror or error})") from error
    return target


def _check(target: Path) -> None:
    if target.is_dir():
        raise errors.ReportTargetError(target, "is a folder, and a report is one file")
    if not target.parent.is_dir():
        raise errors.ReportTargetError(target, f"has no folder: there is no {target.parent}")
    # `report.pdf` would be a file that no viewer of PDF opens.
    if mimetypes.guess_type(target.name)[0] not in {None, "text/html"}:
        raise errors.ReportTargetError(target, f"is called {target.suffix}, and a report is HTML")


def _within(collected: Collected, room: int) -> JsonObject:
    """Everything that the page says, thinned so that it fits."""
    data = dict(collected.data)
    room -= len(json.dumps(data, ensure_ascii=False).encode(errors="replace"))
    means = curves_.of_groups(collected.curves, collected.groups)
    limit = curves_.limit_for([*collected.curves, *means], min(_CURVE_BYTES, room))
    packing = curves_.Packing()
    data["curves"] = [packing.curve(curve, limit) for curve in collected.curves]
    data["means"] = [packing.curve(mean, limit) for mean in means]
    data["steps"] = list(packing.steps)
    data["limit"] = limit
    room -= len(json.dumps([data["curves"], data["means"], data["steps"]]))
    album = Album(max(0, room))
    pictures: list[Json] = [list(album.of(view.results_dir)) for view in collected.views]
    data["pictures"] = pictures
    # Only a table of very many experiments can be larger than everything else is allowed to be.
    too_many = ["It is larger than 6 MB because of the number of experiments."] if room < 0 else []
    data["remarks"] = [*collected.remarks, *too_many]
    return data
