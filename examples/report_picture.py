"""Make `report.png`, the picture of a report that README shows: `python examples/report_picture.py`.

It trains the classifier of `sweep.py` with three learning rates and four seeds each in a temporary folder, writes a
report, and takes a picture of it with Chromium, which has to be on the path. The report needs plotly, and the picture
needs Pillow, which matplotlib requires.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from runbook import ExperimentManager

EXAMPLES = Path(__file__).resolve().parent
WIDTH, HEIGHT = 1280, 1480  # as far as the lower edge of the charts
FLAGS = [
    "--headless",
    "--no-sandbox",  # in a container one is root, for whom Chromium has no sandbox; the page is our own
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--virtual-time-budget=10000",  # the charts are drawn when this many milliseconds of the page are over
]
COLOURS = 256  # with so many no line of a chart changes its colour, and the file is a third as large


def write_report(folder: Path) -> Path:
    """Train, and write a report that shows the folder of a reader in the place of the temporary one."""
    os.environ["RUNBOOK_DIR"] = str(folder / "experiments")
    from sweep import Config, train

    for learning_rate in (0.003, 0.03, 0.3):
        for seed in range(4):
            train(Config(learning_rate, seed))
    report = ExperimentManager().report(folder / "report.html")
    text = report.read_text(encoding="utf-8")
    report.write_text(text.replace(str(folder), "/home/you/project"), encoding="utf-8")
    return report


def find_chromium() -> str:
    """Return the path of the browser."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    raise SystemExit("no Chromium is on the path; it draws the report of which the picture is taken")


def take_picture(chromium: str, page: Path, picture: Path) -> None:
    """Have a browser of its own, with an empty profile, draw a page into a PNG."""
    target = page.with_suffix(".png")
    options = [f"--user-data-dir={page.parent / 'profile'}", f"--window-size={WIDTH},{HEIGHT}"]
    subprocess.run(
        [chromium, *FLAGS, *options, f"--screenshot={target}", page.as_uri()],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with Image.open(target) as image:
        colours = image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        colours.save(picture, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the picture of a report.")
    parser.add_argument("--output", type=Path, default=EXAMPLES / "report.png", help="the PNG to make")
    arguments = parser.parse_args()
    picture = arguments.output.resolve()

    chromium = find_chromium()
    with tempfile.TemporaryDirectory() as folder:
        take_picture(chromium, write_report(Path(folder).resolve()), picture)
    print(f"{picture}: {picture.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
