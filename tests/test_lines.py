"""Lines of the registry that stay text: whatever is taken out of them is what a reader of the whole finds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook import index, lines
from runbook.errors import DamagedFileError

MISSING = object()
NAMES = st.sampled_from(
    ["lr", 'x"lr', 'l"r', "l\\r", "{", "}", "\u00e9", "\ud800", "a.b", "", "config", "metrics", "status"]
)
TEXTS = (
    st.sampled_from(["", "a", 'a"b', "{", "}}", "\\", "\u00e9", "\ud800", "\x7f", "null", ', "config": {', "\n"])
    | st.text()
)
SCALARS = st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
OBJECTS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS | st.sampled_from(['"lr": 1', '{"lr": 2}', "NaN"]),
        lambda inner: st.dictionaries(NAMES, inner, max_size=4) | st.lists(inner, max_size=3),
        max_leaves=12,
    ),
    max_size=5,
)


def entry(experiment_id: str = "a", **fields: object) -> dict[str, object]:
    """A line of ours."""
    return {
        "experiment_id": experiment_id,
        "timestamp": "2024-12-16T14:30:52+00:00",
        "status": "completed",
        "custom_name": None,
        "description": None,
        "config": {},
        "directory": f"here/{experiment_id}",
        "completed_at": None,
        "notes": None,
        "metrics": {},
        "tags": [],
        "end_reason": "returned",
        "parent": None,
        "host": "h",
    } | fields


PLAIN = st.none() | st.sampled_from(["", "a", "}}", ", ", "\u00e9", "\x7f", "null", "config", "{"])


@st.composite
def entries(draw):
    """Entries with anything in them: of our form, nearly of our form, and of other tools."""
    found = []
    for experiment_id in draw(
        st.lists(st.sampled_from(["a", "b", "\u00e9", "\ud800", "}", 'a"'] + ["c", "d"]), max_size=4, unique=True)
    ):
        form = draw(st.sampled_from(["ours", "ours", "hostile", "torn"]))
        texts = PLAIN if form == "ours" else PLAIN | TEXTS
        numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["NaN", "", "lr"])
        names = st.sampled_from(["lr", "a.b", "", "config", "metrics", "status"])
        line = entry(
            experiment_id,
            **{key: draw(texts) for key in ("custom_name", "description", "notes", "end_reason", "parent", "host")},
            metrics=draw(st.dictionaries(names, numbers, max_size=4) if form == "ours" else OBJECTS),
            tags=draw(st.lists(TEXTS if form == "hostile" else st.sampled_from(["a", "lr"]), max_size=2)),
            config=draw(OBJECTS | st.dictionaries(names, SCALARS, max_size=4)),
        )
        left_out = draw(st.sets(st.sampled_from([*line][1:]), max_size=2)) if form == "torn" else set()
        found.append({key: value for key, value in line.items() if key not in left_out})
    return found


def read(raw: bytes, root: str = "here/") -> list[lines.Entry]:
    """The entries of a registry."""
    return list(lines.read(raw.splitlines(keepends=True), "x", root).values())


def framed(*texts: str) -> bytes:
    """A registry with these lines."""
    return b'{"experiments": [\n' + ",\n".join(texts).encode() + b"\n]}\n"


def with_config(text: str) -> bytes:
    """A registry with one line of ours, whose config is this text."""
    return framed(json.dumps(entry() | {"config": 0}).replace('"config": 0, ', "")[:-1] + f', "config": {text}}}')


def placed(entries, root="here/"):
    """The same in the folder where they are."""
    return [{**line, "directory": root + str(line["experiment_id"])} for line in entries]


@given(entries())
@settings(max_examples=300)
def test_what_is_read_is_what_is_decoded(items):
    """Each field by itself, and the whole, whatever it is called and whatever it holds."""
    raw = index.encode(items)
    found = read(raw)
    assert [lines.stored(line) for line in found] == index.decode(raw, "x") == items
    for line, item in zip(found, items, strict=True):
        known = placed([item])[0] if isinstance(line, lines.Line) else item
        assert {key: line.get(key, MISSING) for key in known} == known
        assert all(key in line for key in known)
        assert "other" not in line and line.get("other", MISSING) is MISSING
    assert [item if isinstance(item, dict) else None for item in found] == [
        item if isinstance(line, dict) else None for item, line in zip(items, found, strict=True)
    ]
    assert placed(lines.whole(found)) == placed(items)


@given(entries(), st.lists(NAMES, unique=True))
@settings(max_examples=500)
def test_a_value_is_that_of_the_whole_whatever_surrounds_it(items, names):
    """A name inside of an inner object, a list or a text is not taken for a key."""
    found = read(index.encode(items))
    for section in ("config", "metrics"):
        wholes = [item.get(section) if isinstance(item.get(section), dict) else {} for item in items]
        for name in names:
            take = lines.getter(section, name, MISSING)
            assert [take(line) for line in found] == [whole.get(name, MISSING) for whole in wholes]
        find = lines.finder(section, names)
        for line, whole in zip(found, wholes, strict=True):
            part = find(line) or {}
            assert {name: part[name] for name in names if name in part} == {
                name: whole[name] for name in names if name in whole
            }
            assert all(name in whole for name in part)


def test_lines_of_ours_stay_text():
    """Decoding them is what takes the time and the memory; their folder is where they are now."""
    lines_of_ours = [entry("a", config={"n": 1}), entry("b", notes="\u00e9"), entry("c", metrics={"f1": 0.5})]
    raw = index.encode(lines_of_ours)
    found = read(raw, "there/")
    assert all(isinstance(line, lines.Line) for line in found)
    assert [line["directory"] for line in found] == ["there/a", "there/b", "there/c"]
    assert [dict(line) for line in found] == lines.whole(found) == placed(lines_of_ours, "there/")
    assert [lines.stored(line) for line in found] == lines_of_ours
    assert {**found[0]}.keys() == set(found[0]) == lines_of_ours[0].keys() and len(found[0]) == len(lines_of_ours[0])
    with pytest.raises(KeyError, match="other"):
        found[0]["other"]


@pytest.mark.parametrize(
    "line",
    [
        entry(notes='"'),
        entry(metrics={"x": {"y": 1, "config": 2}}),
        entry(notes=', "config": {', config={"config": {"config": 1}}),
        entry(config=None),
        entry(status=None),
        {"experiment_id": "a", "timestamp": "1", "status": "completed", "config": {"x": 1}},
        {"experiment_id": "a"},
    ],
)
def test_a_line_of_any_other_form_is_decoded_by_itself(line):
    """The others stay text."""
    other, another = read(index.encode([line, entry("b")]))
    assert other == line and isinstance(other, dict)
    assert isinstance(another, lines.Line)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"lr": 1, "lr": 2}', 2),
        ('{"lr":3}', 3),
        ('{"\\u006cr": 4}', 4),
        ('{"in": {"lr": 1}, "lr": 5}', 5),
        ('{"in": [{"lr": 1}]}', MISSING),
        ('{"t": "}", "in": {"lr": 1}}', MISSING),
        ('{"t": "lr", "lr": {"x": "}"}}', {"x": "}"}),
        ('{"a": 1, "lr": [1, {"b": 2}], "c": 3}', [1, {"b": 2}]),
        ('{"t": "\\\\", "lr": 6}', 6),
        ('{"t": "\\\\"}', MISSING),
        ('{"x\\"lr": 7}', MISSING),
    ],
)
def test_a_value_is_what_a_reader_of_the_whole_finds(text, expected):
    """Also in a line that somebody has written by hand."""
    (line,) = read(with_config(text))
    assert isinstance(line, lines.Line)
    assert lines.getter("config", "lr", MISSING)(line) == expected == json.loads(text).get("lr", MISSING)


@pytest.mark.parametrize(
    "text",
    [
        *(
            '{"lr": }',
            '{"lr": 0.1x5}',
            '{"lr": tru, "b": 1}',
            '{"x": 1 "lr": 2, "lr": 3}',
            '{"in": {"lr": 1}',
            '{"lr":',
        ),
        '{}, "lr": 2',
    ],
)
def test_a_value_that_cannot_be_read_is_an_error_that_names_the_line(text):
    """Whoever asked reads everything then, which mends the registry."""
    (line,) = read(with_config(text))
    with pytest.raises(DamagedFileError, match="line of a"):
        lines.getter("config", "lr", MISSING)(line)
    with pytest.raises(DamagedFileError, match="line of a"):
        line["config"]


@pytest.mark.parametrize("broken", ['{"metrics": {"x": }}', '{"tags": ["x" "y"]}'])
def test_what_is_broken_before_the_config_is_an_error_when_it_is_asked_for(broken):
    """Not for those who ask for something else."""
    (key,) = json.loads(broken.replace("}}", "0}}").replace('" "', '", "'))
    good = json.dumps(entry() | {key: "HERE", "config": 0})
    raw = framed(
        good.replace('"config": 0, ', "").replace('"HERE"', broken[len(key) + 5 : -1])[:-1] + ', "config": {}}'
    )
    (line,) = read(raw)
    assert (line["status"], line["config"]) == ("completed", {})
    for ask in (lambda: line[key], lambda: lines.whole([line]), lambda: lines.stored(line)):
        with pytest.raises(DamagedFileError, match="line of a"):
            ask()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        framed("{"),
        framed('{"experiment_id": 1}'),
        index.encode([entry()]).replace(b"null", b"\xff"),
        index.encode([entry()]).replace(b'"h"', b'"\xff"'),
        index.encode([entry(config={"x": "y"})]).replace(b'"y"', b'"\xff"'),
        index.encode([entry()]).replace(b'"h"', b'"\x01"'),
        index.encode([entry("a"), entry("b")]).replace(b",\n", b"\n"),
        index.encode([entry("a")]).replace(b"\n]", b"x\n]"),
    ],
)
def test_what_is_no_registry_is_refused(raw):
    """Also where only bytes that are no text give it away."""
    with pytest.raises(DamagedFileError):
        read(raw)


def test_a_line_with_two_experiments_is_named():
    """Nobody of ours writes one, and the second one would be lost."""
    found = read(index.encode([entry("a"), entry("b"), entry("c")]).replace(b",\n", b", ", 1))
    with pytest.raises(DamagedFileError, match="line of a"):
        lines.whole(found)


def test_escapes_are_read_as_what_they_stand_for():
    """Other programs write them for everything that is not ASCII."""
    item = entry("\u00e9", notes="\u00e9", tags=["\u00e9"], metrics={"\u00e9": 1}, config={"\u00e9": "\u00e9"})
    text = json.dumps({key: item[key] for key in sorted(item, key="config".__eq__)})
    (line,) = read(framed(text))
    assert dict(line) == item and lines.getter("config", "\u00e9", MISSING)(line) == "\u00e9"
    assert lines.whole([line]) == [item]


def test_entries_that_are_decoded_are_taken_as_they_are():
    """Those that a reader has brought up to date stand among lines."""
    (line,) = read(index.encode([entry("b", config={"lr": 2})]))
    mixed = [entry("a", config={"lr": 1}), line, {"experiment_id": "c"}, {"experiment_id": "d", "config": 4}]
    assert [lines.getter("config", "lr", 0)(item) for item in mixed] == [1, 2, 0, 0]
    assert [lines.finder("config", ["lr"])(item) for item in mixed] == [{"lr": 1}, {"lr": 2}, None, 4]
    assert lines.whole(mixed) == [mixed[0], entry("b", config={"lr": 2}), *mixed[2:]]
    assert lines.stored(mixed[0]) == mixed[0] and lines.stored(mixed[0]) is not mixed[0]


def test_many_lines_are_decoded_in_blocks_and_in_their_order():
    """One that cannot be read is named, wherever it is."""
    items = [entry(f"e{number}", config={"n": number}) for number in range(2500)]
    found = read(index.encode(items))
    assert lines.whole(found) == items
    assert lines.whole([items[0], *found[1:]]) == items
    broken = read(index.encode(items).replace(b'"n": 2345}', b'"n": 2345x}'))
    with pytest.raises(DamagedFileError, match="line of e2345"):
        lines.whole(broken)


def test_a_list_that_is_closed_early_is_read_as_json_has_it():
    """The second one of the same key counts, and lines of the first are not mixed into it."""
    raw = framed(json.dumps(entry("a")) + '\n], "experiments": [\n' + json.dumps(entry("b")))
    assert not index.is_spliceable(raw)
    assert read(raw) == index.decode(raw, "x") == [entry("b")]


def test_of_two_lines_of_one_id_the_last_counts():
    """As it does for decode."""
    raw = index.encode([entry(config={"n": number}) for number in range(3)])
    assert lines.whole(read(raw)) == index.decode(raw, "x") == [entry(config={"n": 2})]


def test_an_empty_registry_has_no_entries():
    """In any form."""
    assert read(index.EMPTY) == read(b'{"experiments": [\n]}\n') == read(b'{"experiments": [\n]}') == []
