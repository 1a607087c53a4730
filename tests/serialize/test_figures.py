"""Figures as files, and `Experiment.save_figure`."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from runbook import ExperimentManager, InvalidNameError, MissingExtraError, UnknownSuffixError
from runbook.read.view import record_of

MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".jpg": b"\xff\xd8\xff", ".webp": b"RIFF"}


@pytest.fixture
def drawn():
    """A figure of matplotlib, made without pyplot."""
    figure_module = pytest.importorskip("matplotlib.figure")
    figure = figure_module.Figure()
    figure.subplots().plot([1, 3, 2])
    return figure


@pytest.fixture
def live():
    """A figure of plotly."""
    graph_objects = pytest.importorskip("plotly.graph_objects")
    return graph_objects.Figure(graph_objects.Scatter(y=[1, 3, 2]))


@pytest.fixture
def exp(manager):
    """A running experiment."""
    with manager.experiment({"lr": 0.1}) as running:
        yield running


@pytest.mark.parametrize("suffix", MAGIC)
def test_the_suffix_decides_what_matplotlib_writes(exp, drawn, suffix):
    """The suffix of the name decides the format."""
    path = exp.save_figure(drawn, f"curve{suffix}")
    assert path == exp.results_dir / f"curve{suffix}"
    assert path.read_bytes().startswith(MAGIC[suffix])


def test_a_figure_of_matplotlib_is_a_png_by_default(exp, drawn):
    """A name without a suffix gets one."""
    assert exp.save_figure(drawn, "curve").name == "curve.png"


def test_what_knows_its_figure_is_taken_for_it(exp, drawn):
    """Axes, as plots of pandas return them, and parts of figures save the whole figure."""
    assert exp.save_figure(drawn.axes[0], "axes").read_bytes().startswith(MAGIC[".png"])
    part = type(drawn)().subfigures(1, 2)[0]
    assert exp.save_figure(part, "part").read_bytes().startswith(MAGIC[".png"])


# Plotly 6.0 warns of a part of its own template.
@pytest.mark.filterwarnings("ignore:[*]scattermapbox:DeprecationWarning")
def test_a_figure_of_plotly_is_json_that_plotly_reads_back(exp, live):
    """A plotly figure without a suffix is saved as JSON, which can be drawn again."""
    io = pytest.importorskip("plotly.io")
    path = exp.save_figure(live, "curve")
    assert path.name == "curve.json"
    assert list(io.read_json(path).data[0].y) == [1, 3, 2]


def test_a_figure_of_plotly_as_html_needs_nothing_else(exp, live):
    """The file holds plotly's script itself."""
    text = exp.save_figure(live, "curve.html").read_text(encoding="utf-8")
    assert "<html>" in text
    assert len(text) > 1_000_000


@pytest.mark.skipif(importlib.util.find_spec("kaleido") is not None, reason="kaleido is installed")
def test_an_image_of_plotly_without_kaleido_says_what_to_install(exp, live):
    """The message names what to install, and no file is left."""
    with pytest.raises(MissingExtraError, match=r'pip install "runbook\[figures\]"'):
        exp.save_figure(live, "curve.png")
    assert list(exp.results_dir.iterdir()) == []


@pytest.mark.parametrize("name", ["curve.docx", "curve.v2"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(exp, drawn, live, name):
    """The error names the formats that the library writes."""
    with pytest.raises(UnknownSuffixError, match=r"\.png"):
        exp.save_figure(drawn, name)
    with pytest.raises(UnknownSuffixError, match=r"\.json"):
        exp.save_figure(live, name)


@pytest.mark.parametrize("name", ["../curve", "a/b.png", "", "con.png"])
def test_a_name_that_is_no_file_name_is_refused(exp, drawn, name):
    """The name of a figure cannot lead out of the experiment's folder."""
    with pytest.raises(InvalidNameError):
        exp.save_figure(drawn, name)


@pytest.mark.parametrize("value", [None, 3, "curve.png", [1, 2], object()])
def test_what_is_no_figure_is_refused_by_its_type(exp, value):
    """The message names the type and a hint."""
    with pytest.raises(TypeError, match=rf"{type(value).__name__} is no figure .* plt\.gcf\(\)"):
        exp.save_figure(value, "curve")


def test_a_figure_that_cannot_be_drawn_leaves_the_former_file(exp, drawn):
    """When saving fails, the file saved before stays whole."""
    path = exp.save_figure(drawn, "curve")
    before = path.read_bytes()
    drawn.axes[0].set_title(r"$\undefined{$")
    with pytest.raises(ValueError, match="undefined"):
        exp.save_figure(drawn, "curve")
    assert path.read_bytes() == before
    assert [one.name for one in exp.results_dir.iterdir()] == ["curve.png"]


def test_the_manager_saves_into_the_active_experiment(manager, drawn):
    """Saving a figure again replaces the file, as with every other `save_`."""
    folder = manager.create_experiment({"lr": 0.1})
    assert manager.save_figure(drawn, "curve") == folder / "results" / "curve.png"
    manager.mark_complete()


@pytest.mark.slow
def test_pyplot_is_never_imported(base):
    """Saving a figure changes nothing in a program that draws without pyplot."""
    pytest.importorskip("matplotlib")
    code = f"""
import sys
from matplotlib.figure import Figure
from runbook import experiment
with experiment({{}}, base_dir={str(base)!r}) as exp:
    exp.save_figure(Figure(), "empty")
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_disabled_tracking_refuses_what_it_would_refuse_otherwise(base, monkeypatch, live):
    """With tracking off, `save_figure` refuses the same things as with tracking on."""
    monkeypatch.setenv("RUNBOOK_MODE", "disabled")
    with ExperimentManager(base).experiment({}) as exp:
        exp.save_figure(live, "curve")
        with pytest.raises(TypeError):
            exp.save_figure(3, "curve")
    assert not base.exists()


def test_a_saved_figure_is_in_the_checksums(manager, live):
    """The checksum of the file is recorded, so that the doctor finds a change."""
    with manager.experiment({}) as exp:
        exp.save_figure(live, "curve")
    assert "results/curve.json" in json.dumps(list(record_of(manager.get_experiment(exp.id)).checksums))
