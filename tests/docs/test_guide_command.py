"""`runbook guide` lists, prints and searches the pages."""

from __future__ import annotations

import json

import pytest
from document_pages import GUIDE, read

from runbook.cli import guide_pages

TOPICS = {path.stem for path in GUIDE.glob("*.md")}


def test_it_lists_every_topic_with_a_line(run):
    """In the order in which a newcomer reads them."""
    result = run("guide")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert {line.split()[0] for line in lines} == TOPICS
    assert lines[0].split(maxsplit=1) == ["record", "Record a training with a decorator, a `with` block or a manager."]
    assert all(len(line.split(maxsplit=1)[1]) > 20 for line in lines)


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_in_a_pipe_a_page_is_its_source(topic, run):
    """Another program, or a pager, gets the Markdown as it is."""
    assert run("guide", topic).stdout == read(topic)


def test_on_a_terminal_a_page_is_rendered(terminal):
    """Headings without marks, and links as the command that opens the page."""
    code, shown = terminal("guide", "query", "--no-color", columns=70)
    assert code == 0
    assert "# Query" not in shown and "Query" in shown
    assert "](" not in shown and "```" not in shown
    assert "runbook guide compare" in shown
    assert "\x1b[3" not in shown
    assert max(map(len, shown.splitlines())) <= 70


def test_comments_are_not_rendered(terminal):
    """They are for the program that renews the page."""
    _, shown = terminal("guide", "cli", "--no-color", columns=100)
    assert "<!--" not in shown and "tour: live" not in shown


def test_a_search_finds_lines_in_all_pages(run):
    """Each below its page and its heading, with its number."""
    result = run("guide", "--search", "SLURM")
    assert result.exit_code == 0
    assert "resume: The choices\n" in result.stdout
    assert "distributed: How it works\n" in result.stdout
    for line in json.loads(run("guide", "--search", "SLURM", "--json").stdout):
        assert line["text"] == read(line["topic"]).splitlines()[line["line"] - 1]
        assert "slurm" in line["text"].lower()


def test_a_search_can_be_of_one_page(run):
    """Where somebody knows which."""
    found = json.loads(run("guide", "files", "--search", "registry", "--json").stdout)
    assert {line["topic"] for line in found} == {"files"}


def test_a_comment_in_a_program_is_no_heading():
    """The heading of a line is that of the page, not a comment of Python."""
    page = guide_pages.Page("x", "# Title\n\n```python\n# word\n```\n\n## Below\n\nword\n")
    assert [(found.heading, found.line) for found in guide_pages.find_lines(page, "WORD")] == [
        ("Title", 4),
        ("Below", 9),
    ]


def test_json_has_what_the_text_has(run):
    """For a program: the list, and one page."""
    topics = json.loads(run("guide", "--json").stdout)
    assert {entry["topic"] for entry in topics} == TOPICS
    assert json.loads(run("guide", "query", "--json").stdout) == {"topic": "query", "text": read("query")}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["qeury"], 2, "the guide has no topic 'qeury'; did you mean query?"),
        (["zzzzzz"], 2, "the guide has no topic 'zzzzzz'; 'runbook guide' lists them"),
        (["../README"], 2, "the guide has no topic '../README'"),
        (["--search", "no such word"], 1, "the guide has no line with 'no such word'"),
        (["qeury", "--search", "lr"], 2, "did you mean query?"),
        (["--search", " "], 2, "a search needs a word"),
    ],
)
def test_what_is_not_there_is_said(words, code, message, program):
    """With the nearest topics, or with what lists them."""
    done = program("guide", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr


def test_it_needs_no_base_directory(program, tmp_path):
    """A newcomer reads before there is any experiment, and reading makes none."""
    done = program("guide", "record", "--dir", str(tmp_path / "none"))
    assert done.returncode == 0
    assert not (tmp_path / "none").exists()


def test_topics_are_completed(program):
    """As ids and tags are for the other commands."""
    done = program("guide", _RUNBOOK_COMPLETE="zsh_complete", COMP_WORDS="runbook guide re", COMP_CWORD="2")
    offered = done.stdout.split("\n")
    assert {"record", "report", "resume"} <= set(offered) and "query" not in offered
