"""Ids and names: any string in, one safe folder name out; and back by prefix or name."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runbook import errors
from runbook.record import identifiers

MOMENT = datetime(2024, 12, 16, 14, 30, 52, tzinfo=UTC)
HASH = "a1b2c3d4"
HOSTILE = [
    "../evil",
    "..",
    ".",
    "",
    " ",
    "/abs",
    "\\\\server\\share",
    "C:\\x",
    "C:x",
    "a/b",
    "a\\b",
    "a\nb",
    "a\0b",
    "\u202egnp.exe",
    "trailing.",
    "trailing ",
    "CON",
    "nul.txt",
    "COM1",
    "LPT9.log",
    "-rf",
    "--help",
    "~root",
    "$HOME",
    "%PATH%",
    "*",
    "a" * 10_000,
    "ä" * 500,
    "\ud800",
    "e\u0301",
    "ﬁ",
    "①",
    "日本語",
    "🙂" * 100,
    "a\ud83d",
    "\u0000",
    "a:b",
    "name:stream",
    "_",
    "___",
    "20241216_143052_a1b2c3d4",
]
ANY_TEXT = st.text(max_size=300) | st.text(st.characters(categories=["Cs", "Cc", "Cf"]), max_size=10)
WINDOWS_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?")


@pytest.mark.parametrize("name", ["CON", "nul.txt", "Com1", "lpt9.log", "COM\u00b9", "com0", "CONIN$", "aux .x"])
def test_names_of_devices_are_known(name):
    """In any case, and with any suffix."""
    assert identifiers.is_windows_device(name)


@pytest.mark.parametrize("name", ["console", "x.con", "COM10", "com", "lpt", "null", "config.con", "CON_", ""])
def test_names_that_begin_like_a_device_are_none(name):
    """They are harmless, and configs have such names."""
    assert not identifiers.is_windows_device(name)


def entry(experiment_id, name=None, timestamp="2024-12-16T14:30:52+00:00"):
    """An entry of the registry, with the fields that matter here."""
    return {"experiment_id": experiment_id, "custom_name": name, "timestamp": timestamp}


def is_safe_component(text: str) -> bool:
    """Whether it is one component of a path, harmless on POSIX and on Windows."""
    return (
        PurePosixPath(text).parts == (text,)
        and PureWindowsPath(text).parts == (text,)
        and text not in {".", ".."}
        and not re.search(r'[<>:"/\\|?*\x00-\x1f\x7f]', text)
        and not text.endswith((".", " "))
        and not text.startswith(("-", "~"))
        and WINDOWS_DEVICE.fullmatch(text) is None
        and len(text.encode()) <= 255
        and text.isascii()
    )


def with_hostile(test):
    """The hostile examples, besides those that Hypothesis finds."""
    for text in HOSTILE:
        test = example(text)(test)
    return test


@with_hostile
@given(ANY_TEXT)
def test_any_name_gives_an_id_that_is_one_safe_path_component(name):
    """No name escapes the base directory, on any system."""
    for nth in (1, 2, 99_999):
        experiment_id = identifiers.make_id(MOMENT, name, HASH, nth)
        assert is_safe_component(experiment_id)
        assert identifiers.is_id(experiment_id)
        assert identifiers.is_folder_name(experiment_id)
        assert identifiers.time_of(experiment_id) == MOMENT


@with_hostile
@given(ANY_TEXT)
def test_a_slug_is_short_plain_and_stays_as_it_is(text):
    """Letters, digits, dot, dash, underscore; at most 64 bytes; a slug of a slug is the slug."""
    slug = identifiers.slug(text)
    assert re.fullmatch(r"[A-Za-z0-9._-]*", slug)
    assert len(slug.encode()) <= identifiers.SLUG_BYTES
    assert not slug.startswith((".", "-"))
    assert not slug.endswith((".", "-"))
    assert identifiers.slug(slug) == slug


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("baseline", "baseline"),
        ("multi_layer-test.v1", "multi_layer-test.v1"),
        ("../évil name", "evil-name"),
        ("Größe", "Groe"),
        ("a  b", "a-b"),
        ("ﬁne", "fine"),
        ("日本語", ""),
        ("", ""),
        ("...", ""),
        ("x" * 70, "x" * 64),
        ("x" * 63 + ".y", "x" * 63),
    ],
)
def test_a_slug_is_what_is_safe_of_the_name(text, slug):
    """Accents are removed, ligatures become letters, and any other unsafe character becomes a dash."""
    if text == "Größe":
        # ß has no decomposition, so that it is one of the unsafe ones.
        slug = "Gro-e"
    assert identifiers.slug(text) == slug


@pytest.mark.parametrize(
    ("name", "nth", "experiment_id"),
    [
        ("baseline", 1, "20241216_143052_baseline_a1b2c3d4"),
        (None, 1, "20241216_143052_a1b2c3d4"),
        ("", 1, "20241216_143052_a1b2c3d4"),
        ("///", 1, "20241216_143052_a1b2c3d4"),
        ("baseline", 2, "20241216_143052_baseline-2_a1b2c3d4"),
        (None, 2, "20241216_143052_2_a1b2c3d4"),
        ("../x", 3, "20241216_143052_x-3_a1b2c3d4"),
    ],
)
def test_an_id_is_time_name_and_hash(name, nth, experiment_id):
    """The legacy form: `YYYYMMDD_HHMMSS[_name]_hash8`."""
    assert identifiers.make_id(MOMENT, name, HASH, nth) == experiment_id


@given(st.text(max_size=80), st.integers(1, 1000), st.integers(1, 1000))
def test_the_nth_id_of_a_second_differs_from_the_others(name, one, two):
    """A taken id leads to another one."""
    ids = {identifiers.make_id(MOMENT, name, HASH, nth) for nth in (one, two)}
    assert len(ids) == len({one, two})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "20241216_143052",
        "20241216_143052_",
        "20241216_143052_A1B2C3D4",
        "20241216_143052_a1b2c3d",
        "20241216_143052_a/b_a1b2c3d4",
        "20241216_143052_a\\b_a1b2c3d4",
        "20241216_143052_a b_a1b2c3d4",
        "20241216_143052_ä_a1b2c3d4",
        "20241216_143052_a1b2c3d4\n",
        "\n20241216_143052_a1b2c3d4",
        ".20241216_143052_a1b2c3d4",
        "20241216_143052__a1b2c3d4",
        "../20241216_143052_a1b2c3d4",
        "20241216_143052_a1b2c3d4/..",
        "20241216_143052_a_a1b2c3d4.tmp",
        "٢٠٢٤١٢١٦_143052_a1b2c3d4",
        "20241216_１４３０５２_a1b2c3d4",
    ],
)
def test_what_this_module_could_not_have_made_is_no_id(text):
    """Whatever else lies in a base directory is left alone."""
    assert not identifiers.is_id(text)


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "../a", "/a", "a\\b", "a\0b", "a\nb", "a/"])
def test_what_would_leave_the_directory_is_no_folder_name(text):
    """An id from a registry is matched before it becomes a path."""
    assert not identifiers.is_folder_name(text)


@pytest.mark.parametrize("text", ["20241216_143052_a1b2c3d4", "20241216_143052_lr=0.1, drop 50%_a1b2c3d4", "ä", "a.b"])
def test_an_id_of_the_old_tool_is_a_folder_name(text):
    """The legacy tool put names into ids as they were."""
    assert identifiers.is_folder_name(text)


@given(st.text(max_size=40))
def test_a_folder_name_lies_directly_in_the_directory(text):
    """Whatever is let through is one component below the base directory."""
    if identifiers.is_folder_name(text):
        assert PurePosixPath("base", text).parent == PurePosixPath("base")


@pytest.mark.parametrize(
    ("experiment_id", "moment"),
    [
        ("20241216_143052_a1b2c3d4", MOMENT),
        ("99999999_143052_a1b2c3d4", None),
        ("20241216_250000_a1b2c3d4", None),
        ("legacy", None),
        ("", None),
    ],
)
def test_the_time_in_an_id(experiment_id, moment):
    """In UTC; None where there is none."""
    assert identifiers.time_of(experiment_id) == moment


@pytest.mark.parametrize(
    "name", ["a", "test_predictions.pkl", "val-2.json", "A_b.c-d", "x" * 64, "com10", "console.txt", "0", "_a", "a_"]
)
def test_a_plain_file_name_is_taken_as_it_is(name):
    """A valid name is returned unchanged."""
    assert identifiers.check_file_name("file name", name) == name


@pytest.mark.parametrize("name", [text for text in HOSTILE if text not in {"_", "___", "20241216_143052_a1b2c3d4"}])
def test_a_dangerous_file_name_is_refused_with_a_safe_one(name):
    """It would lead out of the folder, or is not valid on some system; the message suggests one that is."""
    with pytest.raises(errors.InvalidNameError) as caught:
        identifiers.check_file_name("file name", name)
    assert caught.value.name == name
    assert repr(caught.value.suggestion) in str(caught.value)
    assert identifiers.check_file_name("file name", caught.value.suggestion)


@with_hostile
@example("CON." + "a" * 60)
@example("nul." + "x" * 80)
@given(ANY_TEXT)
def test_a_file_name_is_safe_or_refused_with_one_that_is_accepted(name):
    """Every suggestion is itself a name that works."""
    try:
        accepted = identifiers.check_file_name("metrics name", name)
    except errors.InvalidNameError as error:
        accepted = identifiers.check_file_name("metrics name", error.suggestion)
    else:
        assert accepted == name
    assert is_safe_component(accepted)


A = "20241216_143052_baseline_aaaaaaaa"
B = "20241216_153045_baseline_bbbbbbbb"
C = "20250101_000000_other_cccccccc"
SHELF = [
    entry(A, "baseline", "2024-12-16T14:30:52+00:00"),
    entry(B, "baseline", "2024-12-16T15:30:45+00:00"),
    entry(C, "2024", "2025-01-01T00:00:00+00:00"),
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (A, A),
        (B, B),
        ("20241216_14", A),
        ("2025", C),
        ("baseline", B),
        ("2024", C),
        (A[:-1], A),
    ],
)
def test_an_experiment_goes_by_its_id_its_name_or_a_prefix(wanted, found):
    """In this order: the id, the latest of a name, the beginning of exactly one id."""
    assert identifiers.resolve_id(wanted, SHELF, "base") == found


def test_an_id_counts_before_a_name():
    """An experiment may have the id of another as its name."""
    shelf = [entry(A, "x"), entry(B, A)]
    assert identifiers.resolve_id(A, shelf, "base") == A


def test_an_id_that_begins_another_is_itself():
    """Ids of the legacy tool may."""
    shelf = [entry("run"), entry("run_2")]
    assert identifiers.resolve_id("run", shelf, "base") == "run"


def test_the_latest_of_a_name_is_by_time_and_not_by_place():
    """Merged experiments stand at the end of the registry."""
    shelf = list(reversed(SHELF))
    assert identifiers.resolve_id("baseline", shelf, "base") == B


def test_a_prefix_of_several_is_refused_with_all_of_them():
    """Nothing is guessed."""
    with pytest.raises(errors.AmbiguousExperimentError) as caught:
        identifiers.resolve_id("20241216", SHELF, "base")
    assert caught.value.candidates == (A, B)
    assert A in str(caught.value)
    assert "give more of the id" in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [("basline", "baseline"), (A.replace("aaaaaaaa", "aaaabaaa"), A), ("Baseline", "baseline")],
)
def test_an_unknown_one_is_answered_with_the_nearest(wanted, nearest):
    """The message names the nearest ids and names of a misspelt one."""
    with pytest.raises(errors.ExperimentNotFoundError) as caught:
        identifiers.resolve_id(wanted, SHELF, "the/base")
    assert caught.value.nearest[0] == nearest
    assert f"did you mean {nearest}" in str(caught.value)
    assert "the/base" in str(caught.value)


@pytest.mark.parametrize("wanted", ["", "zzz", "\ud800", "%", "a" * 1000])
def test_something_wholly_unknown_is_answered_with_where_to_look(wanted):
    """No id or name is similar to it."""
    with pytest.raises(errors.ExperimentNotFoundError, match="list_experiments") as caught:
        identifiers.resolve_id(wanted, SHELF, "base")
    assert caught.value.nearest == ()


def test_an_empty_shelf_knows_nobody():
    """And says so."""
    with pytest.raises(KeyError, match="no experiment 'x' in base"):
        identifiers.resolve_id("x", [], "base")


def test_names_of_any_type_in_a_registry_do_no_harm():
    """A registry may have been edited by hand."""
    shelf = [entry(A, 7), entry(B, ["x"]), entry(C, {"y": 1}, None)]
    assert identifiers.resolve_id("2025", shelf, "base") == C
    with pytest.raises(errors.ExperimentNotFoundError):
        identifiers.resolve_id("x", shelf, "base")


@given(st.lists(st.sampled_from(["a", "ab", "abc", "b", "ba"]), unique=True), st.text("abc", max_size=4))
def test_what_is_found_is_always_one_of_the_shelf(ids, wanted):
    """Never another id than one that is there."""
    shelf = [entry(experiment_id, f"name of {experiment_id}") for experiment_id in ids]
    try:
        assert identifiers.resolve_id(wanted, shelf, "base") in ids
    except errors.AmbiguousExperimentError as error:
        assert len(error.candidates) > 1
    except errors.ExperimentNotFoundError:
        assert not wanted or not any(experiment_id.startswith(wanted) for experiment_id in ids)


# --- words for the newest, and paths ---------------------------------------------------------------------------------

THREE = [entry(f"2024121{day}_143052_a1b2c3d{day}", name=f"n{day}") for day in (1, 2, 3)]


@pytest.mark.parametrize(("wanted", "day"), [("latest", 3), ("@1", 3), ("@2", 2), ("@3", 1), ("@01", 3)])
def test_the_newest_are_counted_from_one(wanted, day):
    """`latest` and `@1` are the newest, `@2` the one before it."""
    assert identifiers.resolve_id(wanted, THREE, "base") == f"2024121{day}_143052_a1b2c3d{day}"


@pytest.mark.parametrize("wanted", ["@0", "@4", "@", "@x", "@-1", "@99999999999999999999", "@1 "])
def test_a_place_that_there_is_not_is_not_found(wanted):
    """A position that no experiment has is not found."""
    with pytest.raises(errors.ExperimentNotFoundError):
        identifiers.resolve_id(wanted, THREE, "base")


@pytest.mark.parametrize("word", ["latest", "@1"])
def test_no_name_changes_what_the_newest_means(word):
    """An experiment that is called `latest` does not become it."""
    entries = [entry("20241211_143052_a1b2c3d4", name=word), *THREE]
    assert identifiers.resolve_id(word, entries, "base") == THREE[-1]["experiment_id"]


def test_nothing_is_the_latest_of_none():
    """An empty base directory has no newest experiment."""
    with pytest.raises(errors.ExperimentNotFoundError):
        identifiers.resolve_id("latest", [], "base")


def test_the_path_of_a_folder_stands_for_its_experiment(tmp_path, monkeypatch):
    """As a shell completes it: with a slash at the end, relative, or with dots in it."""
    wanted = THREE[0]["experiment_id"]
    (tmp_path / "base" / wanted).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for path in (f"base/{wanted}", f"./base/{wanted}/", f"{tmp_path}/base/{wanted}", f"base/../base/{wanted}"):
        assert identifiers.resolve_id(path, THREE, "./base") == wanted


def test_a_path_elsewhere_is_not_found(tmp_path, monkeypatch):
    """The folder of the same name in another base directory is another experiment."""
    wanted = THREE[0]["experiment_id"]
    (tmp_path / "other" / wanted).mkdir(parents=True)
    (tmp_path / "base").mkdir()
    monkeypatch.chdir(tmp_path)
    for path in (f"other/{wanted}", f"nowhere/{wanted}", "/", "a/\0", "/" + "x" * 5000, f"~nobody/{wanted}"):
        with pytest.raises(errors.ExperimentNotFoundError):
            identifiers.resolve_id(path, THREE, "base")
