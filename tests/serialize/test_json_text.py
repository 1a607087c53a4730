"""JSON and times as text: what is written is read back, and damage is an error."""

from __future__ import annotations

import json
import math
import sys
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_strategies import JSON, MOMENTS, OBJECTS, SCALARS, TEXT

from runbook import errors
from runbook.serialize import json_text, timestamps


def strictly(raw: bytes) -> object:
    """The data in JSON as RFC 8259 defines it: no NaN, no key twice."""

    def refuse(text):
        raise AssertionError(f"{text} is no JSON")

    def once(pairs):
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    return json.loads(raw, parse_constant=refuse, object_pairs_hook=once)


@given(JSON)
def test_json_comes_back_as_it_was(data):
    """Any JSON-compatible value survives the file, with or without indentation."""
    for indent in (2, None):
        raw = json_text.encode(data, indent=indent)
        assert json_text.decode(raw, "x") == data
        assert strictly(raw) == data
        assert raw.endswith(b"\n")


@given(st.dictionaries(TEXT, SCALARS) | OBJECTS)
def test_a_file_for_people_is_indented_whatever_wrote_it(data):
    """One level is written by another encoder, to the same bytes."""
    assert json_text.encode(data) == json.dumps(data, indent=2, ensure_ascii=False).encode() + b"\n"


@given(JSON)
def test_one_line_is_one_line(data):
    """Without indentation there is no newline but the last: logs and the registry rely on it."""
    assert json_text.encode(data, indent=None).count(b"\n") == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_bare_nan_is_never_written(value):
    """A float that strict JSON cannot hold is refused."""
    with pytest.raises(ValueError, match="JSON"):
        json_text.encode({"loss": value})


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_a_bare_nan_of_another_program_is_read(text):
    """NaN and Infinity are read, because the legacy tool wrote them."""
    (value,) = json_text.decode_object(f'{{"loss": {text}}}'.encode(), "x").values()
    assert str(value) == str(float(text))


@given(st.lists(MOMENTS, min_size=2, max_size=2))
def test_times_sort_as_text(moments):
    """Times are written with the same width and in the same zone."""
    texts = [timestamps.format_time(moment) for moment in moments]
    assert (texts[0] < texts[1]) == (moments[0] < moments[1])


def test_a_time_of_the_legacy_tool_is_local():
    """A time without an offset is local, as in the legacy registry."""
    here = datetime(2024, 12, 16, 14, 30, 52).astimezone()
    assert timestamps.parse_time("2024-12-16T14:30:52") == here


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01T00:00:00", "2024-12-16T14:30:52+99:00"])
def test_what_is_no_time_is_refused(text):
    """Text that is no ISO 8601 time is an error."""
    with pytest.raises(ValueError, match="."):
        timestamps.parse_time(text)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_reported(raw):
    """Every kind of damage raises the same error."""
    try:
        assert isinstance(json_text.decode_object(raw, "x"), dict)
    except errors.DamagedFileError as error:
        assert error.path == "x"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\0" * 100, "not JSON"),
        (b"\xff\xfe\xff", "not JSON"),
        (b'{"a": 1}{"b": 2}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"[]", "a list where an object was expected"),
        (b"null", "a NoneType where an object was expected"),
        (b'"text"', "a str where an object was expected"),
        (b"3", "a int where an object was expected"),
    ],
)
def test_what_is_no_object_is_reported(raw, words):
    """Empty, torn, full of NULs, too deep, or of the wrong kind: the message names the fault."""
    with pytest.raises(errors.DamagedFileError, match=words):
        json_text.decode_object(raw, "x")


PARTS = st.one_of(
    JSON.map(lambda data: json_text.encode(data, indent=None)),
    st.sampled_from(
        [
            *(b"NaN", b"[-Infinity, 1]", b"1e400", b"-1e-400", b"-0", b"[1.0, 1E5, 0.1e1]", b"9" * 5000, b"9" * 50),
            *(b"18446744073709551616", b"9007199254740993", b"2.2250738585072011e-308", b'{"a": 1, "a": 2}'),
            *(
                b'"\\ud800"',
                b'"\xed\xa0\x80"',
                b'"\xff"',
                b'"\x01"',
                b'"\\x"',
                b"[1,]",
                b"[1 2]",
                b"01",
                b"",
                b"[" * 9999,
            ),
            *(b"\xef\xbb\xbf1", b"1\x00", b"tru", b'{"a" 1}', b"{1: 2}"),
        ]
    ),
    st.integers().map(lambda number: str(number).encode()),
    st.floats().map(lambda number: repr(number).encode()),
    st.from_regex(rb"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.binary(max_size=20),
)


def outcome(read, raw: bytes) -> str:
    """The data with the type of each value, or the error."""
    try:
        return repr(read(raw, "x"))
    except errors.DamagedFileError as error:
        return str(error)


@pytest.mark.slow
@pytest.mark.parametrize("is_installed", [True, False])
def test_a_part_of_a_large_file_is_what_it_is_by_itself(monkeypatch, is_installed):
    """Both readers give the same: numbers to the last digit, half a character, lax JSON, and the error."""
    quick = pytest.importorskip("msgspec", reason="msgspec has no release for this Python")
    if not is_installed:
        monkeypatch.setitem(sys.modules, "msgspec", None)
    json_text._quick_reader.cache_clear()
    assert json_text._quick_reader() is (quick.json.decode if is_installed else None)

    @given(PARTS)
    @settings(max_examples=500)
    def check(raw):
        assert outcome(lambda raw, path: json_text.decode_part(raw, path, 10**9), raw) == outcome(json_text.decode, raw)

    check()
    json_text._quick_reader.cache_clear()


def test_a_small_file_is_not_worth_an_import(script):
    """msgspec is not imported for small files: the import takes as long as reading some thousand experiments."""
    code = """
        import sys
        from runbook.serialize import json_text
        assert json_text.decode_part(b"[1]", "x", 1000) == [1] and "msgspec" not in sys.modules
        assert json_text.decode_part(b"[1]", "x", 10**8) == [1]
        print("msgspec" in sys.modules)
    """
    assert script.run(code).stdout == "True\n"
