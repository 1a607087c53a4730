"""What the registry file means: always JSON, one experiment a line, and readable when it is damaged."""

from __future__ import annotations

import io
import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runbook.errors import DamagedFileError
from runbook.index import registry_format

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))
# Few ids that begin alike, and ones with everything that could be mistaken for the end of a string or a line.
IDS = st.sampled_from(["a", "aa", "a_b", 'a"', "a\\", "a\n", "ä", "\u2028", "a,", '{"experiment_id": "a",', ""]) | TEXT
FIELDS = st.dictionaries(
    st.sampled_from(["status", "timestamp", "config", "metrics", "notes", "experiment_id2", ""]) | TEXT,
    JSON,
    max_size=4,
)


def entry(experiment_id: str, **fields: object) -> dict[str, object]:
    """A line of ours."""
    timestamp = "2024-12-16T14:30:52+00:00"
    return {"experiment_id": experiment_id, "timestamp": timestamp, "status": "completed", **fields}


@st.composite
def entries(draw):
    """Entries with different ids."""
    ids = draw(st.lists(IDS, max_size=5, unique=True))
    return [{**draw(FIELDS), "experiment_id": experiment_id} for experiment_id in ids]


def decoded(raw: bytes, path: str) -> list[dict[str, object]]:
    """The entries of a registry."""
    return list(registry_format.decode(raw, path).values())


def salvaged(raw: bytes) -> list[dict[str, object]]:
    """The entries that are left of a damaged registry."""
    return list(registry_format.recover(raw).values())


def ours(raw: bytes) -> list[dict[str, object]]:
    """The entries of a registry in our form, read without runbook; each stands on a line of its own."""

    def refuse(text):
        raise AssertionError(f"{text} is no JSON")

    document = json.loads(raw, parse_constant=refuse)
    first, *lines, last = raw.decode().split("\n")
    assert last == ""
    if document["experiments"]:
        assert first.endswith('"experiments": [')
        assert lines.pop() == "]}"
        assert [json.loads(line.removesuffix(",")) for line in lines] == document["experiments"]
    return document["experiments"]


def put(raw: bytes, items) -> bytes:
    """A registry with some entries put in, or taken out."""
    return registry_format.EntryEditor(raw, items).replaced(items)


class Splicing(RuleBasedStateMachine):
    """Splice after splice, against a plain dict of what was put in."""

    def __init__(self) -> None:
        super().__init__()
        self.raw = registry_format.EMPTY
        self.model: dict[str, dict[str, object]] = {}
        self.others: dict[str, object] = {}

    @initialize(
        start=entries(), others=st.dictionaries(TEXT.filter(lambda key: key != "experiments"), JSON, max_size=2)
    )
    def from_entries(self, start, others):
        self.raw = registry_format.encode(start, others)
        self.model = {item["experiment_id"]: item for item in start}
        self.others = others

    @rule(experiment_id=IDS, fields=FIELDS)
    def put(self, experiment_id, fields):
        item = {**fields, "experiment_id": experiment_id}
        if not registry_format.has_entry_lines(self.raw):
            # What a writer does with a registry of another form.
            self.raw = registry_format.encode(decoded(self.raw, "x"), registry_format.read_other_fields(self.raw, "x"))
        self.raw = (
            put(self.raw, {experiment_id: item})
            if registry_format.has_entry_lines(self.raw)
            else registry_format.encode(
                [*decoded(self.raw, "x"), item], registry_format.read_other_fields(self.raw, "x")
            )
        )
        self.model[experiment_id] = item

    @rule(data=st.data())
    def put_again(self, data):
        if self.model:
            experiment_id = data.draw(st.sampled_from(sorted(self.model)))
            self.put(experiment_id, data.draw(FIELDS))

    @rule(experiment_id=IDS)
    def find(self, experiment_id):
        if registry_format.has_entry_lines(self.raw):
            assert registry_format.EntryEditor(self.raw, [experiment_id]).entries().get(
                experiment_id
            ) == self.model.get(experiment_id)

    @rule()
    def as_another_tool_writes_it(self):
        document = {**self.others, "experiments": list(self.model.values())}
        self.raw = json.dumps(document, indent=2).encode()

    @invariant()
    def it_is_the_model(self):
        if registry_format.has_entry_lines(self.raw):
            assert ours(self.raw) == list(self.model.values())
        assert decoded(self.raw, "x") == list(self.model.values())
        assert registry_format.read_other_fields(self.raw, "x") == self.others

    @invariant()
    def salvage_of_a_whole_one_finds_the_same(self):
        found = {item["experiment_id"]: item for item in salvaged(self.raw)}
        whole = {key: item for key, item in self.model.items() if "status" in item and "timestamp" in item}
        if all(list(item)[0] == "experiment_id" for item in whole.values()) or registry_format.has_entry_lines(
            self.raw
        ):
            assert found == whole


Splicing.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=15)
TestSplicing = Splicing.TestCase


@given(entries())
def test_what_is_encoded_is_decoded(items):
    """In its order; the id stands first on each line."""
    raw = registry_format.encode(items)
    assert ours(raw) == decoded(raw, "x") == items
    for line in raw.splitlines()[1:-1]:
        assert line.startswith(b'{"experiment_id": ')


@given(entries(), st.dictionaries(TEXT.filter(lambda key: key != "experiments"), JSON, max_size=3))
def test_what_else_the_document_holds_is_kept(items, others):
    """Nothing of ours, but not ours to lose."""
    raw = registry_format.encode(items, others)
    assert registry_format.read_other_fields(raw, "x") == others
    assert decoded(raw, "x") == items
    assert json.loads(raw) == {**others, "experiments": items}


@given(entries(), st.lists(st.tuples(IDS, st.none() | FIELDS), max_size=8))
def test_many_changes_in_one_pass_are_the_changes_one_by_one(items, changes):
    """Put in place, added at the end, taken out: in one rewrite."""
    edits = {key: None if fields is None else {**fields, "experiment_id": key} for key, fields in changes}
    raw = at_once = registry_format.encode(items)
    if registry_format.has_entry_lines(raw):
        at_once = put(raw, edits)
        for key, item in edits.items():
            raw = put(raw, {key: item})
        assert registry_format.has_entry_lines(at_once)
        assert {line["experiment_id"]: line for line in ours(raw)} == {
            line["experiment_id"]: line for line in ours(at_once)
        }
        assert registry_format.EntryEditor(at_once, list(edits)).entries() == {
            key: item for key, item in edits.items() if item is not None
        }


# --- block by block


def in_blocks(raw: bytes) -> list[dict[str, object]]:
    """The entries of a registry, read some at a time."""
    return [entry for block in registry_format.blocks(io.BytesIO(raw), "x") for entry in block.values()]


@pytest.fixture(params=[1, 50, 2**20])
def _block(request, monkeypatch):
    """Blocks of a line, of some lines, and of them all."""
    monkeypatch.setattr(registry_format, "_BLOCK", request.param)


@pytest.mark.slow
@pytest.mark.usefixtures("_block")
def test_block_by_block_a_registry_is_what_it_is_as_a_whole():
    """Ours is read in blocks, and what is damaged or has another form is left to those who read it whole."""
    read = 0

    @given(entries(), st.lists(st.tuples(st.integers(0), st.binary(max_size=3), st.integers(0, 3)), max_size=2))
    @settings(max_examples=300)
    def check(items, changes):
        nonlocal read
        raw = registry_format.encode(items)
        assert in_blocks(raw) == decoded(raw, "x") == items
        for at, new, gone in changes:
            place = at % (len(raw) + 1)
            raw = raw[:place] + new + raw[place + gone :]
        try:
            found = in_blocks(raw)
        except DamagedFileError:
            return
        read += bool(changes)
        assert found == decoded(raw, "x")

    check()
    assert read > 10


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "one experiment a line"),
        (b"{}", "one experiment a line"),
        (registry_format.EMPTY + b"\n", "one experiment a line"),
        (registry_format.EMPTY.replace(b"[]", b"[] "), "one experiment a line"),
        (b'{"experiments": [\n{"experiment_id": "a"}, {"experiment_id": "b"}\n]}\n', "one experiment a line"),
        (b'{"experiments": [\n{"experiment_id": "a"},\n{"experiment_id":\n"b"}\n]}\n', "JSON|one experiment a line"),
        (
            b'{"experiments": [\n{"experiment_id": "a"}\n], "experiments": [\n{"experiment_id": "b"}\n]}\n',
            "JSON|one experiment a line",
        ),
        (b'{"experiments": [\n{"experiment_id": "a"},\n{"experiment_id": "b"},\n]}\n', "JSON"),
        (b'{"experiments": [\n{"experiment_id": "a"}\n{"experiment_id": "b"}\n]}\n', "JSON|one experiment a line"),
        (b'{"experiments": [\n{"experiment_id": "a"},\n{"experiment_id": "a"}\n]}\n', "twice"),
        (b'{"experiments": [\n{"experiment_id": "a"},\n{"experiment_id": 7}\n]}\n', r"experiments\[1\]"),
        (b'{"experiments": [\n{"experiment_id": []}\n]}\n', r"experiments\[0\]"),
        (b'{"experiments": [\n{"experiment_id": "a"},\n7\n]}\n', r"experiments\[1\]"),
        (b'{"experiments": [\n{"experiment_id": "a"},\n{}\n]}\n', r"experiments\[1\]"),
    ],
)
def test_what_is_no_registry_of_ours_is_refused_block_by_block(raw, problem):
    """It may be the registry of another program, and is for those who read the whole."""
    with pytest.raises(DamagedFileError, match=problem):
        in_blocks(raw)


def test_a_registry_that_is_cut_while_it_is_read_is_refused(monkeypatch):
    """By a program that does not replace files as a whole; waiting for the rest of it would last for ever."""
    raw = registry_format.encode([entry(name) for name in "abc"])
    file = io.BytesIO(raw)
    monkeypatch.setattr(registry_format, "_BLOCK", 1)
    blocks = registry_format.blocks(file, "x")
    assert [*next(blocks)] == ["a"]
    file.truncate(file.tell())
    with pytest.raises(DamagedFileError, match="one experiment a line"):
        next(blocks)


@given(entries())
def test_a_registry_of_ours_can_be_spliced(items):
    """That is what makes an update cheap."""
    assert registry_format.has_entry_lines(registry_format.encode(items))


@pytest.mark.parametrize("others", [{}, {"version": 2}, {"note": "x\ny", "by": {"experiments": []}}])
def test_an_empty_registry_with_anything_else_in_it_takes_a_first_experiment(others):
    """The first line comes after nothing."""
    raw = registry_format.encode([], others)
    if registry_format.has_entry_lines(raw):
        raw = put(raw, {"a": entry("a")})
        assert json.loads(raw) == {**others, "experiments": [entry("a")]}
    else:
        assert decoded(raw, "x") == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b'{"experiments": []}',
        b'{"experiments": [{"experiment_id": "a"}]}',
        json.dumps({"experiments": [entry("a")]}, indent=2).encode(),
        json.dumps({"experiments": [entry("a")]}, indent=None).encode(),
        registry_format.encode([entry("a")]).replace(b"\n", b"\r\n"),
        registry_format.encode([entry("a")])[:-1],
        registry_format.encode([entry("a")]) + b"\n",
        registry_format.encode([entry("a")]) + b"\0" * 4096,
        b'{"other": {"experiments": [\n1\n]}}\n',
    ],
)
def test_any_other_form_is_not_spliced(raw):
    """It is decoded and written anew, once."""
    assert not registry_format.has_entry_lines(raw)


def test_a_list_of_another_name_is_not_spliced_into():
    """The list that opens on the first line must be the one that closes on the last."""
    raw = b'{"experiments": [\n{"experiment_id": "a", "x": 1}\n], "archive": [\n1\n]}\n'
    assert json.loads(raw)
    if registry_format.has_entry_lines(raw):
        document = json.loads(put(raw, {"b": entry("b")}))
        assert document["archive"] == [1]
        assert [item["experiment_id"] for item in document["experiments"]] == ["a", "b"]


@pytest.mark.parametrize("indent", [None, 0, 1, 2, 4, "\t"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_registry_of_the_old_tool_is_read_as_it_is(indent, ascii_only):
    """Indented, in any way, with whatever else it holds."""
    items = [entry("a", description="größer\n", config={"lr": 1e-3}), entry("b", config={})]
    document = {"version": 2, "experiments": items, "notes": ["ü"]}
    raw = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    assert decoded(raw, "x") == items
    again = registry_format.encode(decoded(raw, "x"), registry_format.read_other_fields(raw, "x"))
    assert json.loads(again) == document
    assert registry_format.has_entry_lines(again)


def test_a_registry_with_a_byte_order_mark_is_read():
    """Some editors of Windows leave one."""
    assert decoded(b"\xef\xbb\xbf" + registry_format.encode([entry("a")]), "x") == [entry("a")]


def test_a_bare_nan_of_the_old_tool_is_written_as_json():
    """It wrote NaN as it is, which is none."""
    raw = b'{"experiments": [{"experiment_id": "a", "config": {"x": NaN, "y": [-Infinity, 1e999]}}], "best": NaN}'
    again = registry_format.encode(decoded(raw, "x"), registry_format.read_other_fields(raw, "x"))
    assert ours(again) == [{"experiment_id": "a", "config": {"x": "NaN", "y": ["-Infinity", "Infinity"]}}]
    assert json.loads(again)["best"] == "NaN"


@pytest.mark.parametrize("field", ["experiment_id", "description", "config"])
def test_half_a_character_of_the_old_tool_does_no_harm(field):
    """`json.dump` writes lone surrogates as escapes, and UTF-8 has no form for them."""
    text = "x\\ud83d"
    value = f'{{"name": "{text}"}}' if field == "config" else f'"{text}"'
    experiment_id = "" if field == "experiment_id" else '"experiment_id": "a", '
    raw = f'{{"experiments": [{{{experiment_id}"{field}": {value}}}]}}'.encode()
    items = decoded(raw, "x")
    again = registry_format.encode(items, registry_format.read_other_fields(raw, "x"))
    assert len(ours(again)) == 1
    again = put(again, {items[0]["experiment_id"]: {**items[0], "status": "completed"}})
    assert len(ours(again)) == 1


@pytest.mark.parametrize("depth", [10, 100, 500, 900, 950, 980, 985, 990, 993, 996, 1000, 5000])
def test_nesting_of_any_depth_is_kept_or_reported(depth):
    """What can be read can be written again; what cannot be read is damage."""
    raw = b'{"experiments": [{"experiment_id": "a", "config": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}]}"
    try:
        items = decoded(raw, "x")
    except DamagedFileError:
        assert depth > 500
        return
    again = registry_format.encode(items)
    assert again.count(b'{"a"') == depth


def test_an_id_that_stands_twice_is_one_experiment():
    """The later one counts, as in a dict."""
    raw = registry_format.encode([entry("a", notes="old"), entry("b")])
    line = registry_format.encode_entry(entry("a", notes="new"))
    twice = raw.replace(b"\n]}", b",\n" + line + b"\n]}")
    assert decoded(twice, "x") == [entry("a", notes="new"), entry("b")]


def test_an_update_of_an_id_that_stands_twice_is_what_is_read():
    """Whichever line is replaced, what was put in comes out."""
    raw = registry_format.encode([entry("a", notes="old"), entry("b")])
    twice = raw.replace(b"\n]}", b",\n" + registry_format.encode_entry(entry("a", notes="old too")) + b"\n]}")
    again = put(twice, {"a": entry("a", notes="new")})
    assert {item["experiment_id"]: item.get("notes") for item in decoded(again, "x")} == {"a": "new", "b": None}
    assert registry_format.EntryEditor(again, ["a"]).entries() == {"a": entry("a", notes="new")}


@pytest.mark.parametrize("others", [[], ["b", "c", "d"]], ids=["searched for", "found among all lines"])
def test_of_two_lines_with_one_id_the_last_is_read_and_replaced(others):
    """However the lines are found, and also where nothing has been replaced yet; an id is taken out with all lines."""
    raw = registry_format.encode([entry("a", notes="old"), *map(entry, "bcd")])
    line = registry_format.encode_entry(entry("a", notes="last"))
    twice = raw.replace(b"\n]}", b",\n" + line + b"\n]}")
    editor = registry_format.EntryEditor(twice, ["a", *others])
    assert editor.entries()["a"]["notes"] == "last"
    replaced = ours(editor.replaced({"a": entry("a", notes="new")}))
    assert [item.get("notes") for item in replaced] == ["old", None, None, None, "new"]
    assert [item["experiment_id"] for item in ours(editor.replaced({"a": None}))] == ["b", "c", "d"]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\0" * 10, "not JSON"),
        (b"[]", "a list where an object was expected"),
        (b"{}", 'no list under "experiments"'),
        (b'{"experiments": {}}', 'no list under "experiments"'),
        (b'{"experiments": null}', 'no list under "experiments"'),
        (b'{"experiments": [3]}', r"experiments\[0\]"),
        (b'{"experiments": [{"experiment_id": "a"}, {}]}', r"experiments\[1\]"),
        (b'{"experiments": [{"experiment_id": 3}]}', r"experiments\[0\]"),
        (b'{"experiments": [{"experiment_id": null}]}', r"experiments\[0\]"),
        (b'{"experiments": [[]]}', r"experiments\[0\]"),
    ],
)
def test_what_is_no_registry_is_reported_with_the_place(raw, words):
    """The file and what is wrong with it."""
    with pytest.raises(DamagedFileError, match=words) as caught:
        decoded(raw, "some/registry.json")
    assert caught.value.path == "some/registry.json"


# --- salvage

SMALL = [
    entry("20241216_143052_a_aaaaaaaa", config={"lr": 0.1, "name": 'q"}{'}, notes="größer"),
    entry("20241216_143053_b_bbbbbbbb", config={}, status="failed"),
]
FORMS = {
    "ours": registry_format.encode(SMALL, {"version": 2}),
    "indented": json.dumps({"version": 2, "experiments": SMALL}, indent=2, ensure_ascii=False).encode(),
    "one line": json.dumps({"experiments": SMALL}).encode(),
}
IDENTITIES = [item["experiment_id"] for item in SMALL]


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_registry_is_salvaged_whole(form):
    """Salvage of what needs none."""
    assert salvaged(FORMS[form]) == SMALL


@pytest.mark.parametrize("form", FORMS)
def test_of_a_registry_cut_at_any_byte_every_whole_entry_is_salvaged_and_nothing_else(form):
    """At every byte, from the front and from the back."""
    raw = FORMS[form]
    ends = [raw.index(item["experiment_id"].encode()) for item in SMALL]
    for cut in range(len(raw) + 1):
        found = salvaged(raw[:cut])
        assert found == SMALL[: len(found)]
        assert len(found) >= sum(start < cut for start in ends) - 1
        tail = salvaged(raw[cut:])
        assert tail == SMALL[len(SMALL) - len(tail) :]
    assert len(salvaged(raw[:-1])) == len(SMALL)


@pytest.mark.parametrize("form", FORMS)
def test_of_a_registry_with_any_bit_flipped_nothing_is_invented(form):
    """Every entry that the flipped byte is not in comes out; no more entries than there were."""
    raw = FORMS[form]
    for place in range(len(raw)):
        for bit in range(8):
            damaged = bytearray(raw)
            damaged[place] ^= 1 << bit
            found = salvaged(bytes(damaged))
            assert len(found) <= len(SMALL)
            untouched = [item for item in found if item in SMALL]
            assert len(untouched) >= len(SMALL) - 1
            assert all({"experiment_id", "timestamp", "status"} <= set(item) for item in found)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("filler", [b"\0", b"\n", b"\xff", b'"'])
def test_of_a_registry_with_a_hole_the_rest_is_salvaged(form, filler):
    """A lost block, as a power cut leaves it."""
    raw = FORMS[form]
    middle = raw.index(b"20241216_143053")
    for start in range(0, middle - 40, 7):
        found = salvaged(raw[:start] + filler * 20 + raw[start + 20 :])
        assert SMALL[1] in found
        assert len(found) <= 2


@given(st.binary(max_size=300))
def test_salvage_of_any_bytes_never_raises(raw):
    """Whatever is in the file."""
    for prefix in (b"", b'{"experiments": [\n', b'{"experiment_id": "a", "status": "x", "timestamp": "y"'):
        assert isinstance(salvaged(prefix + raw), list)


@given(
    st.lists(
        st.sampled_from(
            [
                '{"experiment_id": "a", "status": "x", "timestamp": "y"}',
                "{",
                "}",
                "[",
                "]",
                ",",
                '"',
                "\n",
                "\\",
                '{"experiment_id":',
                "NaN",
            ]
        ),
        max_size=12,
    )
)
def test_salvage_of_any_pieces_never_raises_and_invents_no_id(pieces):
    """Nor of anything that looks nearly like a registry."""
    found = salvaged("".join(pieces).encode())
    assert {item["experiment_id"] for item in found} <= {"a"}


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"experiment_id":' * 20_000,
        b'{"experiment_id": "a", "x": ' * 5_000,
        b'{"experiment_id": ' + b"1" * 10_000 + b"}",
        b'{"experiment_id": [' * 3_000,
        b'{"experiment_id": {"experiment_id": {}}}',
        b'{"experiment_id": 3, "status": "x", "timestamp": "y"}',
        b'{"experiment_id": null, "status": "x", "timestamp": "y"}',
    ],
)
def test_salvage_of_a_hostile_file_ends(raw):
    """Without an error, and without an experiment that never was."""
    assert salvaged(raw) == []


@pytest.mark.parametrize("form", ["ours", "indented"])
def test_an_entry_inside_of_a_config_is_no_experiment(form):
    """A run may have the line of an earlier one in its config; when it is damaged, that line does not replace the real one."""
    former = entry("20241216_143052_a_aaaaaaaa", status="completed")
    seen_back_then = {**former, "status": "running"}
    later = entry("20241216_143053_b_bbbbbbbb", config={"from": seen_back_then, "list": [seen_back_then]})
    other = {**seen_back_then, "experiment_id": "20240101_000000_c_cccccccc"}
    third = entry("20241216_143054_d_dddddddd", config={"list": [other]})
    items = [former, later, third]
    raw = registry_format.encode(items) if form == "ours" else json.dumps({"experiments": items}, indent=2).encode()
    for victim in (later, third):
        # The quote that closes the id is lost: that entry cannot be read any more.
        name = str(victim["experiment_id"]).encode()
        damaged = raw.replace(b'{"experiment_id": "' + name + b'"', b'{"experiment_id": "' + name)
        if form == "indented":
            damaged = raw.replace(b'"' + name + b'"', b'"' + name)
        assert damaged != raw
        assert salvaged(damaged) == [item for item in items if item is not victim]


@pytest.mark.slow
@given(entries(), st.integers(0, 10_000), st.sampled_from(string.printable))
@settings(max_examples=200, deadline=None)
def test_a_registry_with_a_character_put_in_is_decoded_or_reported(items, place, character):
    """Never another error than the one for damage."""
    raw = registry_format.encode(items)
    place %= len(raw)
    damaged = raw[:place] + character.encode() + raw[place:]
    try:
        found = decoded(damaged, "x")
    except DamagedFileError:
        return
    assert len(found) <= len(items)
