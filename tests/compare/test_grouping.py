"""Groups of experiments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import ComparisonError, QueryError
from runbook.compare.grouping import group


def entries(*configs, **fields):
    """Registry entries."""
    return [
        {"experiment_id": str(n), "config": config, **{name: values[n] for name, values in fields.items()}}
        for n, config in enumerate(configs)
    ]


def shape(found):
    return {one.label: one.experiment_ids for one in found}


def test_experiments_that_differ_by_their_seed_belong_together():
    """The seed may be at any depth and have any of its names; folders for output may differ as well."""
    found = group(
        entries(
            {"lr": 1, "seed": 1, "data": {"random_state": 1}, "save_dir": "a", "numpy_seed": 1},
            {"lr": 1, "seed": 2, "data": {"random_state": 2}, "save_dir": "b", "numpy_seed": 2, "random_seed": 3},
            {"lr": 2, "seed": 1, "data": {"random_state": 1}, "output_dir": "c"},
        )
    )
    assert shape(found) == {"lr=1": ("0", "1"), "lr=2": ("2",)}
    assert [one.settings for one in found] == [{"lr": 1}, {"lr": 2}]
    assert [one.varying for one in found] == [(), ()]


@pytest.mark.parametrize(
    ("configs", "labels"),
    [
        ([{"a": 1}, {"a": 1.0}], ["one config"]),
        ([{"a": 1}, {"a": True}], ["a=1", "a=True"]),
        ([{"a": 1}, {"a": "1"}], ["a=1", "a=1 (2)"]),
        ([{"a": "NaN"}, {"a": float("nan")}], ["one config"]),
        ([{"a": None}, {}], ["a=None", "no a"]),
        ([{"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}], ["a.c=2", "a.c=3"]),
        ([{"a": [1, {"b": 2}]}, {"a": []}], ['a=[1, {"b": 2}]', "a=[]"]),
        ([{"a": "x" * 300}, {"a": "y"}], [f"a={'x' * 39}…", "a=y"]),
        (
            [dict.fromkeys("abcdef", 1), dict.fromkeys("abcdef", 2)],
            ["a=1, b=1, c=1, d=1, +2 more", "a=2, b=2, c=2, d=2, +2 more"],
        ),
        ([{"a\x1b": 1}, {"a\x1b": 2}], ["a\x1b=1", "a\x1b=2"]),
        ([{}, {}], ["one config"]),
        (["not a config", None], ["one config"]),
    ],
)
def test_labels_show_only_what_differs(configs, labels):
    """Short, and unique whatever the values."""
    assert [one.label for one in group(entries(*configs))] == labels


def test_any_field_will_do():
    """Of the config without its first word, of the experiment itself, and several at once."""
    given = entries(
        {"optim": {"lr": 0.1}, "b": 1},
        {"optim": {"lr": 0.2}, "b": 1},
        {"b": 1},
        custom_name=["x", "y", None],
        tags=[["t", "u"], [], ["t", "u"]],
        status=["completed"] * 3,
    )
    assert shape(group(given, "config.optim.lr")) == {
        "optim.lr=0.1": ("0",),
        "optim.lr=0.2": ("1",),
        "no optim.lr": ("2",),
    }
    assert shape(group(given, "b")) == {"b=1": ("0", "1", "2")}
    assert shape(group(given, "name")) == {"x": ("0",), "y": ("1",), "no name": ("2",)}
    assert shape(group(given, "tag")) == {"t+u": ("0", "2"), "no tag": ("1",)}
    assert shape(group(given, ["status", "tags"])) == {"completed, t+u": ("0", "2"), "completed, no tags": ("1",)}
    assert list(shape(group(given, ["name", "config"])))[0] == "x, optim.lr=0.1"


def test_a_setting_with_the_name_of_a_field_is_told_apart():
    """`name` is the experiment's own, `config.name` what the config says."""
    given = entries({"name": "bert"}, {"name": "bert"}, custom_name=["x", "y"])
    assert list(shape(group(given, ["name", "config.name"]))) == ["x, config.name=bert", "y, config.name=bert"]


def test_what_only_looks_like_a_seed_is_a_setting():
    """Left out, it would make the noise seem to come from seeds."""
    assert len(group(entries({"seed_words": 1}, {"seed_words": 2}))) == 2
    assert len(group(entries({"seeds": [1, 2]}, {"seeds": [3]}))) == 2


def test_what_varies_within_a_group_is_known():
    """Then the noise comes not only from the seed."""
    (one,) = group(entries({"lr": 1, "dropout": 0, "seed": 1}, {"lr": 1, "dropout": 1, "seed": 2}), "lr")
    assert one.varying == ("dropout",)


def test_repeats_of_one_seed_are_counted():
    """Experiments without a recorded seed do not count."""
    (one,) = group(entries({"seed": 1}, {"seed": 1}, {"seed": 2}, {"seed": 1}))
    assert one.repeats == 2
    (other,) = group(entries({"lr": 1}, {"lr": 1}))
    assert other.repeats == 0


def test_a_field_that_nobody_has_is_named():
    """The error has the nearest name and the column of the mistake."""
    with pytest.raises(QueryError, match="config.lr"):
        group(entries({"lr": 1}, {"lr": 2}), "config.lt")
    with pytest.raises(QueryError, match="expected one field"):
        group(entries({"lr": 1}), "lr, name")
    with pytest.raises(ComparisonError, match="nothing to group by"):
        group(entries({"lr": 1}), [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "seed"]), inner, max_size=2),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), max_size=8))
def test_every_experiment_is_in_one_group_and_every_group_has_a_name_of_its_own(configs):
    """This is so for any configs."""
    found = group(entries(*configs))
    assert sorted(one for members in found for one in members.experiment_ids) == sorted(map(str, range(len(configs))))
    assert len({one.label for one in found}) == len(found)
