"""Records as JSON-compatible data: a round trip changes nothing, and each damaged field is named."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_strategies import JSON, MOMENTS, OBJECTS, TEXT

from runbook import errors
from runbook.record import registry_entry, schema
from runbook.record.model import RECORD_VERSION, Attempt, Environment, ExperimentRecord, Failure, GitState, Job, Owner
from runbook.record.status import EndReason, Status
from runbook.serialize import json_text

OWNERS = st.builds(
    Owner,
    host=TEXT,
    pid=st.integers(0, 2**31),
    boot_id=st.none() | TEXT,
    process_started=st.none() | TEXT,
    pid_namespace=st.none() | TEXT,
)
ATTEMPTS = st.builds(
    Attempt,
    started_at=MOMENTS,
    owner=OWNERS,
    ended_at=st.none() | MOMENTS,
    end_reason=st.none() | st.sampled_from(EndReason),
)
FAILURES = st.builds(Failure, type=TEXT, message=TEXT, traceback=TEXT)
RECORDS = st.builds(
    ExperimentRecord,
    experiment_id=TEXT,
    timestamp=MOMENTS,
    status=st.sampled_from(Status),
    config=OBJECTS,
    config_hash=TEXT,
    custom_name=st.none() | TEXT,
    description=st.none() | TEXT,
    tags=st.lists(TEXT, max_size=3).map(tuple),
    notes=st.none() | TEXT,
    metrics=OBJECTS,
    end_reason=st.none() | st.sampled_from(EndReason),
    completed_at=st.none() | MOMENTS,
    parent=st.none() | TEXT,
    function=st.none() | TEXT,
    failure=st.none() | FAILURES,
    attempts=st.lists(ATTEMPTS, max_size=3).map(tuple),
)
ENVIRONMENTS = st.builds(
    Environment,
    python=TEXT,
    implementation=TEXT,
    executable=TEXT,
    platform=TEXT,
    host=TEXT,
    user=st.none() | TEXT,
    pid=st.integers(0, 2**31),
    argv=st.lists(TEXT, max_size=3).map(tuple),
    working_directory=st.none() | TEXT,
    cpu_count=st.none() | st.integers(1, 1024),
    gpus=st.lists(TEXT, max_size=2).map(tuple),
    git=st.none()
    | st.builds(
        GitState,
        commit=st.none() | TEXT,
        branch=st.none() | TEXT,
        dirty=st.booleans(),
        untracked=st.lists(TEXT, max_size=2).map(tuple),
        remote=st.none() | TEXT,
        patch_truncated=st.booleans(),
    ),
    packages=st.dictionaries(TEXT, TEXT, max_size=3),
    variables=st.dictionaries(TEXT, TEXT, max_size=3),
    problems=st.lists(TEXT, max_size=2).map(tuple),
)


def small_record() -> dict[str, object]:
    """A record as its file holds it."""
    moment = datetime(2024, 12, 16, 14, 30, 52, tzinfo=UTC)
    record = ExperimentRecord(
        experiment_id="20241216_143052_baseline_a1b2c3d4",
        timestamp=moment,
        status=Status.FAILED,
        config={"lr": 0.1},
        config_hash="a1b2c3d4",
        tags=("a",),
        metrics={"f1": 0.5},
        failure=Failure("ValueError", "no", "Traceback"),
        attempts=(Attempt(moment, Owner("h", 1)),),
    )
    return schema.to_json(record)


def full_record() -> dict[str, object]:
    """A record as its file holds it, with each part that a record can have."""
    moment = datetime(2024, 12, 16, 14, 30, 52, tzinfo=UTC)
    failure = Failure("ValueError", "no", "Traceback")
    first = Attempt(moment, Owner("h", 1), moment, EndReason.EXCEPTION, failure=failure, job=Job("slurm:1", 2))
    record = schema.from_json(small_record(), ExperimentRecord, "x")
    return schema.to_json(attrs.evolve(record, attempts=(first, *record.attempts)))


@given(RECORDS)
def test_a_record_comes_back_as_it_was(record):
    """An experiment's file holds everything about it."""
    raw = json_text.encode(schema.to_json(record))
    assert schema.from_json(json_text.decode_object(raw, "x"), ExperimentRecord, "x") == record


@given(ENVIRONMENTS)
def test_an_environment_comes_back_as_it_was(environment):
    """`environment.json` holds everything that was captured."""
    raw = json_text.encode(schema.to_json(environment))
    assert schema.from_json(json_text.decode_object(raw, "x"), Environment, "x") == environment


@given(RECORDS)
def test_times_in_files_are_utc(record):
    """ISO 8601 with the offset of UTC, so that text sorts as time does."""
    text = schema.to_json(record)["timestamp"]
    assert text.endswith("+00:00")
    assert datetime.fromisoformat(text) == record.timestamp


def test_the_version_stands_first():
    """People who open the file see it first."""
    assert list(small_record())[0] == "format_version"
    assert small_record()["format_version"] == RECORD_VERSION


@given(RECORDS, st.integers(RECORD_VERSION + 1, 10_000), OBJECTS)
def test_a_newer_record_is_read_as_far_as_it_is_understood(record, version, unknown):
    """Unknown fields are kept by themselves, and so is the version, so that nobody rewrites the file."""
    known = schema.to_json(record)
    data = {**unknown, **known, "format_version": version}
    unknown = {key: value for key, value in unknown.items() if key not in known}
    assert schema.from_json(data, ExperimentRecord, "x") == attrs.evolve(
        record, format_version=version, unknown=unknown
    )


PARTS = st.sampled_from(
    [
        (),
        ("failure",),
        ("attempts", 0),
        ("attempts", 0, "owner"),
        ("attempts", 0, "job"),
        ("attempts", 0, "failure"),
        ("attempts", 1),
    ]
)


@given(PARTS, OBJECTS)
def test_fields_that_are_not_known_come_back_as_they_were(part, unknown):
    """A record that is rewritten keeps what a later version has added to it, and to each of its parts."""
    data = json.loads(json_text.encode(full_record()))
    place = functools.reduce(lambda inner, key: inner[key], part, data)
    place.update({key: value for key, value in unknown.items() if key not in place})
    record = schema.from_json(data, ExperimentRecord, "x")
    assert schema.to_json(record) == data
    assert schema.from_json(schema.to_json(record), ExperimentRecord, "x") == record


def test_a_field_with_the_name_of_our_own_place_for_them_is_kept_too():
    """A later version may have a field named `unknown`."""
    data = {**full_record(), "unknown": {"a": 1}}
    assert schema.to_json(schema.from_json(data, ExperimentRecord, "x")) == data


def test_a_change_of_a_record_keeps_the_fields_that_are_not_known():
    """Also of the parts that stay."""
    data = full_record()
    data["attempts"][0]["owner"]["gpu"] = data["mood"] = "good"
    changed = attrs.evolve(schema.from_json(data, ExperimentRecord, "x"), notes="new")
    assert schema.to_json(changed) == {**data, "notes": "new"}


def test_a_newer_record_that_cannot_be_understood_is_named_so():
    """Not damaged: a newer runbook reads it."""
    data = {**small_record(), "format_version": RECORD_VERSION + 1, "status": {"now": "running"}}
    with pytest.raises(errors.NewerFormatError) as caught:
        schema.from_json(data, ExperimentRecord, "x")
    assert (caught.value.version, caught.value.supported) == (RECORD_VERSION + 1, RECORD_VERSION)


def test_reading_changes_nothing_of_what_was_read():
    """The caller's data is not changed."""
    data = small_record()
    before = json.loads(json.dumps(data))
    schema.from_json(data, ExperimentRecord, "x")
    assert data == before


DAMAGE = [
    ("status", "finished"),
    ("status", None),
    ("status", 3),
    ("timestamp", "yesterday"),
    ("timestamp", 1734359452),
    ("timestamp", None),
    ("config", [1]),
    ("config", "lr=0.1"),
    ("config", None),
    ("config_hash", 7),
    ("experiment_id", 7),
    ("experiment_id", None),
    ("custom_name", 7),
    ("custom_name", ["a"]),
    ("description", {}),
    ("metrics", [0.5]),
    ("metrics", 0.5),
    ("tags", 3),
    ("tags", [3]),
    ("tags", "baseline"),
    ("tags", {"a": 1}),
    ("notes", 3),
    ("end_reason", "bored"),
    ("completed_at", "later"),
    ("failure", "ValueError"),
    ("failure", ["ValueError"]),
    ("failure", {"type": "ValueError"}),
    ("attempts", 3),
    ("attempts", [None]),
    ("attempts", [{"started_at": "2024-12-16T14:30:52+00:00"}]),
    ("attempts", {"a": 1}),
    ("attempts", "none"),
    ("format_version", "new"),
    ("parent", 1.5),
]


@pytest.mark.parametrize(("field", "value"), DAMAGE)
def test_a_wrong_field_is_named(field, value):
    """The message names the field and the file."""
    with pytest.raises(errors.DamagedFileError) as caught:
        schema.from_json({**small_record(), field: value}, ExperimentRecord, "some/experiment.json")
    assert field in caught.value.problem
    assert caught.value.path == "some/experiment.json"


@pytest.mark.parametrize("field", ["experiment_id", "timestamp", "status", "config", "config_hash"])
def test_a_missing_field_is_named(field):
    """The message names the missing field."""
    data = small_record()
    del data[field]
    with pytest.raises(errors.DamagedFileError) as caught:
        schema.from_json(data, ExperimentRecord, "x")
    assert field in caught.value.problem


def test_every_wrong_field_is_named_at_once():
    """The message names every wrong field, so that a person can repair all of them."""
    data = {**small_record(), "status": "finished", "timestamp": "yesterday", "tags": [1]}
    del data["config"]
    with pytest.raises(errors.DamagedFileError) as caught:
        schema.from_json(data, ExperimentRecord, "x")
    assert all(field in caught.value.problem for field in ("status", "timestamp", "tags", "config"))


def damaged(data):
    """The same data many times, each time with another value in one of its fields."""
    for key, value in [*data.items()] if isinstance(data, dict) else [*enumerate(data)]:
        for other in ("x", 3, [], {}, None, [3], {"a": 1}):
            data[key] = other
            yield
        data[key] = value
        if isinstance(value, dict | list):
            yield from damaged(value)


def test_damage_is_described_in_the_words_of_json():
    """The message does not name our classes, which a person who repairs the file does not know."""
    owner = Owner(host="h", pid=1)
    attempt = Attempt(datetime(2024, 12, 16, tzinfo=UTC), owner, failure=Failure("E", "m", "t"))
    record = schema.from_json(small_record(), ExperimentRecord, "x")
    data = json.loads(json.dumps(schema.to_json(attrs.evolve(record, attempts=(attempt,)))))
    problems = set()
    for _ in damaged(data):
        try:
            schema.from_json(data, ExperimentRecord, "x")
        except errors.DamagedFileError as error:
            problems.update(problem.partition(" @ ")[0] for problem in error.problem.split("; "))
    enums = {f"one of {', '.join(kind)}" for kind in (Status, EndReason)}
    words = {"text", "true or false", "a whole number", "a date and time", "an object", "a list", *enums}
    assert problems <= {
        "required field missing",
        *(f"expected {one}{end}" for one in words for end in ("", " or null")),
    }
    assert len(problems) > 8


@given(RECORDS, st.sampled_from([field.name for field in attrs.fields(ExperimentRecord)]), JSON)
def test_no_field_can_raise_anything_else(record, field, value):
    """Any value of a field is either read or reported."""
    data = {**schema.to_json(record), field: value}
    try:
        schema.from_json(data, ExperimentRecord, "x")
    except errors.DamagedFileError as error:
        assert field in error.problem


def test_a_line_of_the_registry_has_the_seeds_fields_first():
    """The legacy fields under the legacy names, in its order, then ours."""
    record = schema.from_json(small_record(), ExperimentRecord, "x")
    entry = registry_entry.build_entry(record, "./experiments/x")
    seed = ["experiment_id", "timestamp", "status", "custom_name", "description", "config", "directory"]
    assert list(entry) == [*seed, "completed_at", "notes", "metrics", "tags", "end_reason", "parent", "host"]
    assert entry["host"] == "h"
    assert entry["directory"] == "./experiments/x"


@given(RECORDS)
def test_the_record_of_a_line_keeps_what_the_line_says(record):
    """An experiment whose folder is gone is shown from its entry."""
    entry = registry_entry.build_entry(record, "d")
    again = schema.record_of_entry(entry, "x")
    kept = ["experiment_id", "timestamp", "status", "custom_name", "description", "config", "metrics", "tags"]
    kept += ["completed_at", "notes", "end_reason", "parent"]
    assert [getattr(again, name) for name in kept] == [getattr(record, name) for name in kept]


def test_a_line_with_nothing_but_an_id_is_an_experiment():
    """Nothing else is known of the experiment."""
    record = schema.record_of_entry({"experiment_id": "20241216_143052_a1b2c3d4"}, "x")
    assert (record.status, record.config, record.config_hash) == (Status.UNKNOWN, {}, "a1b2c3d4")


@pytest.mark.parametrize(("field", "value"), [("config", 3), ("tags", [1]), ("metrics", [])])
def test_a_wrong_field_of_a_line_is_named(field, value):
    """The legacy registry may have been edited by hand."""
    with pytest.raises(errors.DamagedFileError) as caught:
        schema.record_of_entry({"experiment_id": "x", field: value}, "registry.json")
    assert field in caught.value.problem
