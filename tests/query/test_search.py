"""Finding experiments: filters, times, order, limits; and the messages for invalid queries."""

from __future__ import annotations

import math
import pickle
import random
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import QueryError, Status, UnknownStatusError
from runbook.query import search

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def entry(number, **fields):
    started = (NOW - timedelta(days=100 - number)).isoformat()
    base = {"experiment_id": f"e{number}", "timestamp": started, "status": "completed", "custom_name": None}
    return base | {"config": {}, "metrics": {}, "tags": []} | fields


def ids(entries, where=None, **options):
    return [found["experiment_id"] for found in search.select(search.parse(where, now=NOW, **options), entries)]


ENTRIES = [
    entry(0, custom_name="base-1", tags=["a"], config={"lr": 0.1}, metrics={"f1": 0.5, "loss": 1}),
    entry(
        1,
        custom_name="base-2",
        tags=["a", "b"],
        config={"lr": 0.2},
        metrics={"f1": 0.9, "loss": "NaN"},
        status="failed",
    ),
    entry(2, custom_name="Base-3", tags=["b"], config={"lr": 0.1}, metrics={"f1": 0.7}, status="running"),
    entry(3, config={"lr": "auto", "model": {"name": "bert"}}),
    entry(4, custom_name="large", config={"loss": "focal"}, metrics={"f1": 0.7, "loss": 3}, status="interrupted"),
]


def test_an_empty_query_finds_all_newest_first():
    """The registry lists them oldest first."""
    assert ids(ENTRIES) == ["e4", "e3", "e2", "e1", "e0"]
    assert ids([]) == []
    assert ids(iter(ENTRIES), limit=2) == ["e4", "e3"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"status": "failed"}, ["e1"]),
        ({"status": ["failed", "running"]}, ["e2", "e1"]),
        ({"status": Status.FAILED}, ["e1"]),
        ({"status": (Status.FAILED, "interrupted")}, ["e4", "e1"]),
        ({"tag": "a"}, ["e1", "e0"]),
        ({"tag": ["a", "b"]}, ["e1"]),
        ({"tag": "nope"}, []),
        ({"name": "base*"}, ["e1", "e0"]),
        ({"name": "[Bb]ase-?"}, ["e2", "e1", "e0"]),
        ({"name": "*"}, ["e4", "e2", "e1", "e0"]),
        ({"where": "config.lr == 0.1", "status": "running"}, ["e2"]),
        ({"where": "metrics.f1 > 0.6", "limit": 1}, ["e4"]),
        ({"limit": 0}, []),
        ({"sort": "metrics.f1"}, ["e0", "e4", "e2", "e1", "e3"]),
        ({"sort": "-metrics.f1"}, ["e1", "e4", "e2", "e0", "e3"]),
        ({"sort": "-metrics.f1", "limit": 2}, ["e1", "e4"]),
        ({"sort": ["-metrics.f1", "started"]}, ["e1", "e2", "e4", "e0", "e3"]),
        ({"sort": "started"}, ["e0", "e1", "e2", "e3", "e4"]),
        ({"sort": "-started"}, ["e4", "e3", "e2", "e1", "e0"]),
        ({"sort": "name"}, ["e2", "e0", "e1", "e4", "e3"]),
        ({"sort": "-name"}, ["e4", "e1", "e0", "e2", "e3"]),
        ({"sort": "metrics.loss"}, ["e0", "e4", "e1", "e3", "e2"]),
        ({"sort": "-metrics.loss"}, ["e4", "e0", "e1", "e3", "e2"]),
        ({"sort": "config.lr"}, ["e2", "e0", "e1", "e3", "e4"]),
        ({"sort": "-config.lr"}, ["e1", "e2", "e0", "e3", "e4"]),
        ({"sort": "config.model"}, ["e3", "e4", "e2", "e1", "e0"]),
    ],
)
def test_what_is_found_and_in_which_order(options, expected):
    """Ties stay newest first; NaN, null and what is missing come last, whichever way it is sorted."""
    assert ids(ENTRIES, **options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"since": "98d"}, ["e4", "e3", "e2"]),
        ({"since": "14w"}, ["e4", "e3", "e2"]),
        ({"since": "97d24h"}, ["e4", "e3", "e2"]),
        ({"since": "141119m60s"}, ["e4", "e3", "e2"]),
        ({"since": "2352.0h"}, ["e4", "e3", "e2"]),
        ({"since": timedelta(days=98)}, ["e4", "e3", "e2"]),
        ({"since": NOW - timedelta(days=98)}, ["e4", "e3", "e2"]),
        ({"until": NOW - timedelta(days=98)}, ["e1", "e0"]),
        ({"until": "98d"}, ["e1", "e0"]),
        ({"since": "99d", "until": "98d"}, ["e1"]),
        ({"since": "2025-12-02T12:00:00Z"}, ["e4", "e3", "e2"]),
        ({"since": "2025-12-02T13:00:00+01:00", "until": "2025-12-03T12:00:00Z"}, ["e2"]),
        ({"since": " 1d "}, []),
    ],
)
def test_the_window_begins_at_since_and_ends_before_until(options, expected):
    """Both are given as moments, as lengths of time before now, or as texts of either kind."""
    assert ids(ENTRIES, **options) == expected


def test_a_day_is_a_local_one_and_until_includes_it():
    """A day stands for all of its hours."""
    day = datetime(2026, 1, 5).astimezone()
    entries = [
        entry(0, timestamp=(day - timedelta(seconds=1)).isoformat()),
        entry(1, timestamp=day.isoformat()),
        entry(2, timestamp=(day + timedelta(hours=23)).isoformat()),
        entry(3, timestamp=(day + timedelta(hours=24)).isoformat()),
        entry(4, timestamp=None),
        entry(5, timestamp="long ago"),
    ]
    for value in ("2026-01-05", "20260105", date(2026, 1, 5)):
        assert ids(entries, since=value) == ["e3", "e2", "e1"]
        assert ids(entries, until=value) == ["e2", "e1", "e0"]
        assert ids(entries, since=value, until=value) == ["e2", "e1"]
    assert ids(entries, since=datetime(2026, 1, 5)) == ["e3", "e2", "e1"]


@pytest.mark.parametrize(
    ("options", "what", "column", "words"),
    [
        ({"limit": -1}, "limit", 0, "from 0 up"),
        ({"limit": 1.5}, "limit", 0, "from 0 up"),
        ({"limit": True}, "limit", 0, "from 0 up"),
        ({"limit": "3"}, "limit", 0, "from 0 up"),
        ({"since": "yesterday"}, "since", 0, "2d or 1w"),
        ({"since": ""}, "since", 0, "2d or 1w"),
        ({"since": "2x"}, "since", 0, "2d or 1w"),
        ({"since": "2026-13-01"}, "since", 0, "2d or 1w"),
        ({"since": "99999999999999d"}, "since", 0, "2d or 1w"),
        ({"since": "9999999d"}, "since", 0, "2d or 1w"),
        ({"until": "9999-12-31"}, "until", 0, "2d or 1w"),
        ({"until": 5}, "until", 0, "2d or 1w"),
        ({"tag": [1]}, "tag", 0, "a tag is a text"),
        ({"tag": 1}, "tag", 0, "a tag is a text"),
        ({"status": [1]}, "status", 0, "a status is a text"),
        ({"name": 3}, "name", 0, "shell pattern"),
        ({"sort": ""}, "sort", 0, "-metrics.test_f1 for the largest first"),
        ({"sort": "-"}, "sort", 1, "-metrics.test_f1 for the largest first"),
        ({"sort": "metrics.f1 desc"}, "sort", 11, "-metrics.test_f1 for the largest first"),
        ({"sort": "3"}, "sort", 0, "-metrics.test_f1 for the largest first"),
        ({"sort": "--started"}, "sort", 1, "no arithmetic"),
        ({"sort": ["started", "config."]}, "sort", 7, "name after the dot"),
        ({"sort": 3}, "sort", 0, "a sort is a text"),
        ({"where": 3}, "where", 0, "as text"),
    ],
)
def test_a_part_that_cannot_be_read_is_named(options, what, column, words):
    """The error has the text, the column and what to write instead, and survives pickling."""
    with pytest.raises(QueryError) as caught:
        search.parse(now=NOW, **options)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.what, error.column) == (what, column)
    assert words in str(error)


def test_a_status_that_there_is_none_of_is_refused():
    """`list_experiments` refuses it in the same way."""
    with pytest.raises(UnknownStatusError, match="use one of: running, completed"):
        search.parse(status=["failed", "done"])


def test_a_field_that_only_some_have_is_no_error():
    """Configs differ; the ones without it are not found."""
    assert ids(ENTRIES, "config.model.name == 'bert'") == ["e3"]
    assert ids(ENTRIES, "not config.model.name == 'bert'") == ["e4", "e2", "e1", "e0"]


@pytest.mark.parametrize(
    ("options", "column", "words"),
    [
        ({"where": "config.lrr < 1"}, 0, "no experiment has a field 'config.lrr'; did you mean config.lr?"),
        ({"where": "config.lr < 1 and metrics.f2 > 1"}, 18, "did you mean metrics.f1"),
        ({"where": "status == 'failed' or name == larg"}, 30, "put it in quotes if it is a text"),
        ({"where": "statu == 'failed'"}, 0, "did you mean status"),
        ({"where": "config.name == 'bert'"}, 0, "did you mean config.model.name?"),
        ({"where": "loss < 3"}, 0, "write config.loss or metrics.loss"),
        ({"where": "metrics.f9_macro_2 > 0"}, 0, "there are: metrics.f1"),
        ({"where": "zzzzzz < 3"}, 0, "there are: config.lr"),
        ({"sort": "-metrics.f2"}, 1, "did you mean metrics.f1"),
        ({"sort": "loss"}, 0, "write config.loss or metrics.loss"),
    ],
)
def test_a_misspelt_field_is_no_empty_answer(options, column, words):
    """A field that no experiment has is an error that names the existing ones."""
    with pytest.raises(QueryError) as caught:
        ids(ENTRIES, **options)
    assert caught.value.column == column
    assert words in str(caught.value)


def test_a_misspelt_field_is_found_where_no_entry_matched_so_far():
    """Also after an `and` whose left side is always false, or beside a status that no experiment has."""
    with pytest.raises(QueryError, match=r"config\.lrr"):
        ids(ENTRIES, "config.lr == 99 and config.lrr < 1", status="unknown")


@given(st.lists(st.tuples(*[st.sampled_from([{}, {"x": 1}, {"x": 3}, {"y": 2}])] * 2), max_size=6))
def test_a_name_is_that_of_the_section_that_has_it_wherever_the_first_of_them_stands(sections):
    """Each experiment is read once, before the fields of the later ones are known."""
    entries = [entry(n, config=config, metrics=metrics) for n, (config, metrics) in enumerate(sections)]
    having = [section for section in ("config", "metrics") if any("x" in one[section] for one in entries)]
    if len(having) == 1:
        fitting = [one for one in reversed(entries) if one[having[0]].get("x", 0) > 2]
        assert ids(entries, "x > 2") == [one["experiment_id"] for one in fitting]
        ranked = sorted(reversed(entries), key=lambda one: one[having[0]].get("x", 9))
        assert ids(entries, sort="x") == [one["experiment_id"] for one in ranked]
    elif having or any(config or metrics for config, metrics in sections):
        with pytest.raises(QueryError, match="in both" if having else "no experiment has"):
            ids(entries, "x > 2")
    else:
        assert ids(entries, "x > 2") == []


def test_where_nothing_is_on_record_nothing_can_be_misspelt():
    """While the first experiment has no metrics yet, a query for a metric finds nothing and is no error."""
    young = [entry(0, config={"lr": 1})]
    assert ids(young, "metrics.f1 > 0.5", sort="-metrics.f1") == []
    assert ids([], "config.lr < 1", sort="config.lr") == []
    with pytest.raises(QueryError, match=r"config\.lt"):
        ids(young, "config.lt < 1")


def test_suggestions_are_spelt_as_they_have_to_be_written():
    """They have quotes where a query needs them, and nothing that controls a terminal."""
    entries = [entry(0, config={"my key": 1, "evil\x1b[2J\u202e": 2})]
    with pytest.raises(QueryError, match='did you mean config."my key"') as caught:
        ids(entries, "config.mykey < 2")
    assert ids(entries, 'config."my key" < 2') == ["e0"]
    with pytest.raises(QueryError, match="evil") as caught:
        ids(entries, "config.evil < 2")
    assert all(line.isprintable() for line in str(caught.value).split("\n"))
    assert ids(entries, r'config."evil\u001b[2J\u202e" == 2') == ["e0"]


HOSTILE = [None, 3, "text", [], [1], {}, {"a": 1}, [{"a": 1}], True, math.nan, "\x00"]


@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_an_entry_of_any_shape_is_survived(value):
    """A registry into which another program wrote can still be searched."""
    odd = dict.fromkeys(["experiment_id", "timestamp", "status", "custom_name", "config", "metrics", "tags"], value)
    entries = [odd, {}, entry(2, custom_name="x", tags=["a"], config={"lr": 1}, metrics={"f1": 1}, status="failed")]
    query = search.parse(
        "config.lr == 1 and lr == 1 and metrics.f1 > 0 and duration is null and started < '2030-01-01' and tags ~ 'a'",
        status="failed",
        tag="a",
        name="x",
        since=timedelta(days=1000),
        sort=["metrics.f1", "-config", "tags", "-status", "started", "duration"],
        now=NOW,
    )
    assert search.select(query, entries) == [entries[2]]
    everything = search.parse(sort=["config", "-metrics", "tags", "status", "-name", "id"], now=NOW)
    assert len(search.select(everything, entries)) == 3


class Lazy(dict):
    """An entry that notes which of its fields are read."""

    def __init__(self, fields):
        super().__init__(fields)
        self.seen = set()

    def get(self, key, default=None):
        self.seen.add(key)
        return super().get(key, default)

    __getitem__ = __iter__ = keys = items = values = __contains__ = None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, set()),
        ({"status": "failed", "limit": 3}, {"status"}),
        ({"tag": "a", "name": "b*"}, {"tags", "custom_name"}),
        ({"since": "2d"}, {"timestamp"}),
        ({"until": "2d", "sort": "-metrics.f1"}, {"timestamp", "metrics"}),
        ({"where": "status == 'failed' and host == 'x'"}, {"status", "host"}),
        ({"where": "duration > 3"}, {"timestamp", "completed_at", "status"}),
        ({"where": "config.lr < 1"}, {"config"}),
        ({"where": "lr < 1"}, {"config", "metrics"}),
        ({"sort": "config"}, {"config"}),
    ],
)
def test_only_the_fields_of_the_query_are_read(options, expected):
    """A config that is not decoded yet stays so where a query only needs the status."""
    entries = [Lazy(fields) for fields in ENTRIES]
    query = search.parse(now=NOW, **options)
    search.select(query, entries)
    assert set().union(*(fields.seen for fields in entries)) == expected


def test_the_cheap_tests_come_first():
    """A config is read only where the rest matches; the first one is read to learn whether the field exists."""
    entries = [Lazy(fields) for fields in ENTRIES]
    search.select(search.parse("config.lr < 9", status="failed", now=NOW), entries)
    assert ["config" in fields.seen for fields in entries] == [True, True, False, False, False]


def test_the_entries_found_are_the_given_objects():
    """They are not copies."""
    found = search.select(search.parse(sort="started", limit=3), ENTRIES)
    assert all(one is other for one, other in zip(found, ENTRIES, strict=False))


NUMBERS = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=3), st.lists(st.none(), max_size=2)
)


@given(st.lists(st.one_of(NUMBERS, st.just("gone"))), st.booleans(), st.integers(0, 5))
def test_any_values_can_be_sorted(values, is_descending, limit):
    """A limit does not change which come first, and values without an order come last."""
    entries = [entry(number, config={} if value == "gone" else {"x": value}) for number, value in enumerate(values)]
    if not any(fields["config"] for fields in entries):
        return
    sort = "-config.x" if is_descending else "config.x"
    found = ids(entries, sort=sort)
    assert sorted(found) == sorted(fields["experiment_id"] for fields in entries)
    assert ids(entries, sort=sort, limit=limit) == found[:limit]
    ordered = [values[int(number[1:])] for number in found]
    has_place = [value is not None and value != "gone" and value == value for value in ordered]
    assert has_place == sorted(has_place, reverse=True)
    numbers = [value for value in ordered if isinstance(value, (int, float)) and value == value]
    assert numbers == sorted(numbers, reverse=is_descending)


@pytest.mark.slow
def test_a_hundred_thousand_are_searched_within_a_test(monkeypatch):
    """A field is looked up in the query once, not for each experiment."""
    random.seed(1)
    many = [
        entry(n, config={"optim": {"lr": random.random()}}, metrics={"val.f1": random.random()}) for n in range(100_000)
    ]
    calls = []
    made = search.fields.Lookup.__init__
    monkeypatch.setattr(
        search.fields.Lookup,
        "__init__",
        lambda self, field, *args: calls.append(field.text) or made(self, field, *args),
    )
    found = ids(many, "config.optim.lr < 0.5 and metrics.val.f1 > 0.5", sort="-metrics.val.f1", limit=10)
    assert calls == ["config.optim.lr", "metrics.val.f1", "metrics.val.f1"]
    expected = [e for e in many if e["config"]["optim"]["lr"] < 0.5 and e["metrics"]["val.f1"] > 0.5]
    expected.sort(key=lambda e: -e["metrics"]["val.f1"])
    assert found == [e["experiment_id"] for e in expected[:10]]


# --- through the manager ---------------------------------------------------------------------------------------------


def test_the_manager_finds_experiments_as_it_lists_them(manager):
    """They have every field, the newest comes first, and running ones are included."""
    for number in range(3):
        with manager.experiment({"optim": {"lr": 10.0**-number}}, name=f"run-{number}", tags=["sweep"]) as exp:
            exp.save_final_metrics({"test_f1": 0.5 + number / 10, "bad": math.inf})
    with manager.experiment({"optim": {"lr": 1}}, name="now"):
        listed = manager.list_experiments()
        assert manager.find() == listed[::-1]
        assert manager.find("config.optim.lr < 0.5 and metrics.test_f1 > 0.6", tag="sweep") == [listed[2]]
        assert manager.find(status="running")[0]["custom_name"] == "now"
        assert manager.find("metrics.bad == inf", sort="metrics.test_f1", limit=1)[0]["metrics"]["bad"] == math.inf
        assert manager.find(name="run-*", since="1h", until="2999-01-01", sort=["-metrics.test_f1"]) == listed[2::-1]
    with pytest.raises(QueryError, match="did you mean"):
        manager.find("config.optim.lrr < 1")


def test_a_config_that_cannot_be_decoded_is_mended_from_its_folder(manager, caplog):
    """The folder is the truth; a query for the status alone does not even read the damaged config."""
    for name in ("a", "b"):
        with manager.experiment({"lr": 0.125}, name=name):
            pass
    registry = manager.base_dir / "experiment_registry.json"
    registry.write_bytes(registry.read_bytes().replace(b"0.125", b"0.1x5", 1))
    assert [entry["config"]["lr"] for entry in manager.find("config.lr == 0.125")] == [0.125, 0.125]
    assert [entry["config"]["lr"] for entry in manager.find(status="completed")] == [0.125, 0.125]


def test_an_empty_base_directory_has_nothing_to_find(manager):
    """No name of a field is an error there."""
    assert manager.find("config.lr < 1", sort="-metrics.f1") == []
