"""The fields of an entry: paths, times, and lengths of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runbook import QueryError
from runbook.query import fields
from runbook.query.fields import MISSING, FieldPath, Source
from runbook.record import registry_entry

NOW = datetime(2026, 1, 2, tzinfo=UTC)
NESTED = {
    "config": {"a": {"b": {"c": 1}, "b.x": 2}, "a.b": {"d": 3}, "a.b.c": 4, "list": [{"c": 1}], "inf": "-Infinity"},
    "metrics": {"val.f1": 0.5, "val": 1},
}


def value(*path, entry=NESTED):
    return fields.make_getter(FieldPath(path, ".".join(path)), Source([entry, NESTED], NOW), ("…", "where"))(entry)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("config", "a", "b", "c"), 1),
        (("config", "a", "b", "x"), 2),
        (("config", "a", "b.x"), 2),
        (("config", "a", "b", "d"), 3),
        (("config", "a.b", "d"), 3),
        (("config", "a.b.c"), 4),
        (("config", "inf"), float("-inf")),
        (("metrics", "val", "f1"), 0.5),
        (("metrics", "val"), 1),
        (("val", "f1"), 0.5),
        (("a", "b", "d"), 3),
    ],
)
def test_a_name_leads_to_the_inner_key_or_to_one_with_dots(path, expected):
    """A nested key goes before a key with a dot in it; quotes name exactly the key with the dot."""
    assert value(*path) == expected


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        (("config", "lr"), "did you mean config.optim.learning_rate?"),
        (("lr",), "did you mean config.optim.learning_rate?"),
        (("metrics", "f1"), "did you mean metrics.test_f1_macro or metrics.test_f1?"),
        (("metrics", "macro"), "did you mean metrics.test_f1_macro?"),
        (("metrics", "testf1"), "did you mean metrics.test_f1 or metrics.test_f1_macro?"),
        (("metrics", "bleu"), "there are: metrics.test_f1_macro, metrics.test_f1"),
        (("config", "a", "failed"), "there are: config.optim.learning_rate"),
    ],
)
def test_a_part_of_a_name_and_its_initials_come_close(path, hint):
    """Where no name is similar, the message lists the existing fields."""
    entry = {"config": {"optim": {"learning_rate": 1}}, "metrics": {"test_f1_macro": 1, "test_f1": 1}}
    with pytest.raises(QueryError) as caught:
        fields.make_getter(FieldPath(path, ".".join(path)), Source([entry], NOW), ("…", "where"))
    assert hint in str(caught.value)


@pytest.mark.parametrize("path", [("config", "a", "b", "c"), ("metrics", "val", "f1"), ("a", "b", "d")])
@pytest.mark.parametrize(
    "entry", [{}, {"config": None, "metrics": []}, {"config": {"a": 3, "a.b": [1]}, "metrics": {}}]
)
def test_what_is_not_there_is_missing(path, entry):
    """At whichever name of the path the search ends."""
    assert value(*path, entry=entry) is MISSING


def test_a_name_does_not_lead_into_a_list():
    """Lists are values."""
    with pytest.raises(QueryError):
        value("config", "list", "0")
    with pytest.raises(QueryError):
        value("config", "list", "c")


def test_a_hostile_config_is_searched_in_its_own_size():
    """Keys with and without dots lead to the same value, and still each mapping is searched once."""
    names = "abcdefghijklmnop"
    config = {}
    for start in range(len(names)):
        inner = {}
        for end in range(len(names), start, -1):
            inner[".".join(names[start:end])] = {}
        config |= inner
    with pytest.raises(QueryError):
        value("config", *names, "z", entry={"config": config})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45m", timedelta(minutes=45)),
        ("1.5h", timedelta(minutes=90)),
        ("1w2d3h4m5s", timedelta(days=9, hours=3, minutes=4, seconds=5)),
        ("0s", timedelta()),
        ("", None),
        ("h", None),
        ("2", None),
        ("-2d", None),
        ("2 d", None),
        ("2D", None),
        ("\u0662d", None),
        ("9" * 400 + "w", None),
        ("999999999d999999999d", None),
    ],
)
def test_a_length_of_time_has_units(text, expected):
    """Seconds, minutes, hours, days and weeks; nothing else is one, and nothing is raised."""
    assert fields.parse_length(text) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"timestamp": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:01:00Z", "status": "failed"}, 60),
        ({"timestamp": "2026-01-01T00:00:00Z", "completed_at": None, "status": "running"}, 86400),
        ({"timestamp": "2026-01-01T00:00:00Z", "completed_at": None, "status": "unknown"}, None),
        ({"timestamp": "2026-01-01T00:00:00Z"}, None),
        ({"timestamp": "x", "completed_at": "2026-01-01T00:01:00Z"}, None),
        ({"timestamp": 3, "status": "running"}, None),
        ({"timestamp": "0001-01-01T00:00:00+14:00", "status": "running"}, None),
    ],
)
def test_the_duration_is_what_is_on_record(entry, expected):
    """It ends now while an experiment runs; it is missing where neither an end nor a running status is recorded."""
    assert registry_entry.duration_of(entry, NOW) == expected
