"""Pictures in a report: `runbook/pages/report/pictures.py`."""

from __future__ import annotations

import base64
import json

import pytest

from runbook.pages.report.pictures import Album

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_images_become_data_uris(tmp_path):
    """An image is in the page itself, under its path in the experiment."""
    (tmp_path / "a.PNG").write_bytes(PNG)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b.svg").write_text("<svg/>")
    (tmp_path / "c.txt").write_text("no picture")
    first, second = Album(10_000).collect(tmp_path)
    assert first["name"] == "results/a.PNG"
    assert first["source"].startswith("data:image/png;base64,iVBOR")
    assert second["name"] == "results/folder/b.svg"
    assert second["source"].startswith("data:image/svg+xml;base64,")


def test_an_image_without_room_is_named(tmp_path):
    """The reason has its size, and smaller images after it are still shown."""
    (tmp_path / "a.png").write_bytes(b"x" * 9_000)
    (tmp_path / "b.png").write_bytes(b"x" * 100)
    (tmp_path / "c.png").write_bytes(b"x" * 2_000_000)
    large, small, huge = Album(10_000).collect(tmp_path)
    assert "the report is full" in large["problem"]
    assert "source" in small
    assert "more than 1.5 MB" in huge["problem"]


def test_saved_figures_come_as_data_and_other_json_does_not(tmp_path):
    """A plotly figure is recognised by the beginning of its file."""
    (tmp_path / "a.json").write_text(json.dumps({"data": [{"y": [1, 2]}], "layout": {"title": {"text": "t"}}, "x": 1}))
    (tmp_path / "b.json").write_text(json.dumps({"f1": 0.9}))
    (tmp_path / "c.json").write_text('{"data": [{"y": [1e999, NaN]}]}')
    figure, odd = Album(10_000).collect(tmp_path)
    assert figure["figure"] == {"data": [{"y": [1, 2]}], "layout": {"title": {"text": "t"}}}
    json.dumps(odd, allow_nan=False)


@pytest.mark.parametrize("text", ['{"data": [1,', '{"data": 3}', '{"data"' + "[" * 100_000])
def test_a_damaged_figure_is_named(tmp_path, text):
    """A file that begins like a figure and is none is listed with a reason."""
    (tmp_path / "a.json").write_text(text)
    (found,) = Album(1_000_000).collect(tmp_path)
    assert "cannot be read" in found["problem"]


def test_addresses_of_pictures_are_taken_out_of_figures(tmp_path):
    """A figure cannot make the page ask for anything."""
    layout = {"images": [{"source": "https://example.invalid/a.png"}, {"source": "data:image/png;base64,AA"}]}
    (tmp_path / "a.json").write_text(json.dumps({"data": [{"source": "//example.invalid"}], "layout": layout}))
    (found,) = Album(1_000_000).collect(tmp_path)
    assert "example.invalid" not in json.dumps(found)
    assert "data:image/png;base64,AA" in json.dumps(found)
    assert "not loaded" in found["remark"]


def test_links_are_not_followed(tmp_path):
    """An experiment from elsewhere cannot show another file of this machine."""
    (tmp_path / "secret.png").write_bytes(PNG)
    results = tmp_path / "results"
    results.mkdir()
    (results / "a.png").symlink_to(tmp_path / "secret.png")
    (results / "folder").symlink_to(tmp_path)
    assert Album(10_000).collect(results) == []


def test_a_folder_that_is_missing_has_no_pictures(tmp_path):
    """Experiments of the legacy tool may lack the folder."""
    assert Album(10_000).collect(tmp_path / "results") == []
