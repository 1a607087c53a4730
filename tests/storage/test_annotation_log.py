"""Annotations on disk: whole lines that any process may append, and that readers show with the record."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.record.layout import ExperimentLayout
from runbook.record.model import ExperimentRecord
from runbook.record.status import Status
from runbook.storage import annotation_log


def record(**fields):
    from datetime import UTC, datetime

    known = {"experiment_id": "x", "timestamp": datetime(2026, 1, 31, tzinfo=UTC), "status": Status.COMPLETED}
    return ExperimentRecord(**{**known, "config": {}, "config_hash": "0" * 8, **fields})


def line(nth, **what):
    return {"time": f"2026-01-31T12:00:00.{nth:06d}+00:00", "by": "ada@here", **what}


@pytest.fixture
def layout(tmp_path):
    """The folder of an experiment."""
    (tmp_path / "x" / "logs").mkdir(parents=True)
    return ExperimentLayout(tmp_path / "x")


@pytest.fixture
def other(tmp_path):
    """The folder of a copy of it."""
    (tmp_path / "y" / "logs").mkdir(parents=True)
    return ExperimentLayout(tmp_path / "y")


def shown(layout, **own):
    one = annotation_log.with_annotations(record(**own), layout)
    return one.notes, one.tags


def test_a_record_without_annotations_is_shown_as_it_is(layout):
    """The very same object: an experiment without annotations needs no copy of its record."""
    one = record(notes="n", tags=("a",))
    assert annotation_log.with_annotations(one, layout) is one


def test_lines_are_applied_in_the_order_of_their_times(layout):
    """Not in the order of the file, which differs between two copies that were merged."""
    annotation_log.append(layout, [line(3, untag="a"), line(2, tag="a"), line(1, note="first")])
    annotation_log.append(layout, [line(0, note="zeroth")])
    assert shown(layout, notes="own", tags=("b",)) == ("own\nzeroth\nfirst", ("b",))


def test_the_same_line_twice_counts_once(layout):
    """Two merges at the same time may both append it."""
    annotation_log.append(layout, [line(1, note="n")])
    annotation_log.append(layout, [line(1, note="n")])
    assert shown(layout) == ("n", ())


@pytest.mark.parametrize(
    "torn", [b'{"time": "2026', b"\0\0\0\0", b"\n\n", b"[1]\n", b'{"note": 3, "tag": null}\n', b"\xff"]
)
def test_a_torn_line_damages_neither_earlier_nor_later_lines(layout, torn):
    """Cut-off lines, NULs, blank lines and lines of another form leave the other lines readable."""
    annotation_log.append(layout, [line(1, note="before")])
    with layout.annotations.open("ab") as file:
        file.write(torn)
    assert shown(layout) == ("before", ())
    annotation_log.append(layout, [line(2, note="after"), line(2, tag="t")])
    assert shown(layout) == ("before\nafter", ("t",))


def test_a_file_that_cannot_be_read_is_an_error(layout, other):
    """Neither a reader nor a merge may take an unreadable file for an empty one."""
    layout.annotations.mkdir()
    with pytest.raises(IsADirectoryError):
        shown(layout, notes="own")
    with pytest.raises(IsADirectoryError):
        annotation_log.merge(layout, other)


def test_a_line_that_cannot_be_read_back_is_written_again(layout, monkeypatch):
    """A short error of the disk does not matter; a lasting one is raised as it is."""
    real, failures = type(layout.annotations).read_bytes, [OSError(5, "Input/output error")]
    monkeypatch.setattr(
        type(layout.annotations), "read_bytes", lambda path: real(path) if not failures else throw(failures.pop())
    )
    annotation_log.append(layout, [line(1, note="n")])
    assert shown(layout) == ("n", ())
    failures += [OSError(5, "Input/output error")] * 9
    with pytest.raises(OSError, match="Input/output error"):
        annotation_log.append(layout, [line(2, note="m")])


def throw(error):
    raise error


def test_the_folder_of_an_experiment_that_is_gone_does_not_come_back(layout):
    """An experiment that is deleted at this moment stays deleted."""
    import shutil

    shutil.rmtree(layout.root)
    with pytest.raises(FileNotFoundError):
        annotation_log.append(layout, [line(1, note="n")])
    assert not layout.root.exists()


def test_logs_that_somebody_removed_are_made_again(layout):
    """An experiment that has lost its logs can still get a note."""
    layout.logs.rmdir()
    annotation_log.append(layout, [line(1, note="n")])
    assert shown(layout) == ("n", ())


def test_text_of_any_kind_is_one_line(layout):
    """Newlines, half characters and what controls a terminal are kept as data."""
    text = "two\nlines\r\x1b[31m\u2028 \ud800 \U0001f600"
    annotation_log.append(layout, [line(1, note=text)])
    raw = layout.annotations.read_bytes()
    assert raw.count(b"\n") == 1 and json.loads(raw)["note"] == text
    assert shown(layout) == (text, ())


def test_a_merge_is_a_union(layout, other):
    """In either direction, any number of times, readers show the same of both copies."""
    annotation_log.append(layout, [line(1, note="both"), line(2, note="here"), line(5, untag="t")])
    annotation_log.append(other, [line(1, note="both"), line(3, note="there"), line(4, tag="t")])
    assert annotation_log.merge(other, layout) and annotation_log.merge(layout, other)
    assert not annotation_log.merge(other, layout) and not annotation_log.merge(layout, other)
    assert shown(layout) == shown(other) == ("both\nhere\nthere", ())


annotations = st.sampled_from(["note", "tag", "untag"]).flatmap(
    lambda key: st.fixed_dictionaries({key: st.text(max_size=5)})
)


@given(st.lists(st.tuples(st.integers(0, 20), annotations, st.booleans()), max_size=12))
def test_two_copies_agree_after_a_merge_either_way(tmp_path_factory, lines):
    """For any annotations of each, appended in any order."""
    folder = tmp_path_factory.mktemp("copies")
    one, two = ExperimentLayout(folder / "one"), ExperimentLayout(folder / "two")
    for copy in (one, two):
        copy.logs.mkdir(parents=True)
    for nth, (moment, what, is_here) in enumerate(lines):
        # No two lines have the same time and the same author.
        annotation_log.append(one if is_here else two, [{**line(moment * 100 + nth), **what}])
    annotation_log.merge(one, two)
    annotation_log.merge(two, one)
    assert shown(one) == shown(two)
