"""The pages of the guide are complete, lead to each other, and have one form."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest
from document_pages import FENCED, GUIDE, PAGES, README, ROOT, blocks, prose, read

import runbook
from runbook.cli import guide_pages, main

pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests")

TOPICS = [topic for topic in PAGES if topic != "README"]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(topic: str) -> set[str]:
    """What a heading of a page is called in a link."""
    headings = re.findall(r"^#+ (.*)$", prose(topic), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_begins_with_a_title_and_one_line(topic):
    """`runbook guide` lists that line."""
    title, empty, summary, empty_too, *_ = read(topic).splitlines()
    assert title.startswith("# ")
    assert (empty, empty_too) == ("", "")
    assert re.fullmatch(r"[A-Z`].{20,110}\.", summary)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_has_a_place_in_the_order(topic):
    """A new page is put where a newcomer reads it."""
    assert topic in guide_pages.ORDER


@pytest.mark.parametrize("topic", PAGES)
def test_every_link_leads_somewhere(topic):
    """A heading that was renamed takes its links along; a file that is named is there."""
    folder = ROOT if topic == "README" else GUIDE
    for link in LINK.findall(prose(topic)):
        target, _, anchor = link.partition("#")
        if target.startswith("http"):
            continue
        path = PAGES[topic] if not target else (folder / target)
        if path.suffix == ".md":
            # Of README, the links lead to the pages beside it; the tests read those of the imported package.
            assert Path(target).stem in PAGES or not target, link
            assert not anchor or anchor in anchors(path.stem), link
        else:
            assert path.exists(), link


def test_a_page_links_only_to_pages():
    """In an installed package there is nothing else beside a page."""
    for topic in TOPICS:
        for link in LINK.findall(prose(topic)):
            assert re.match(r"https?://|#|[\w-]+\.md(#|$)", link), (topic, link)


def test_every_page_is_reached_from_readme():
    """Nobody finds a page that nothing leads to."""
    assert [
        topic for topic in TOPICS if f"(runbook/guide/{topic}.md)" not in read("README") and topic != "promises"
    ] == []


def test_every_public_name_is_on_a_page_that_explains_it():
    """Beside the reference, which is made by a program, a page of prose says when one needs it."""
    words = set(re.findall(r"\w+", "\n".join(read(topic) for topic in PAGES if topic != "api")))
    public = set(runbook.__all__)
    errors = {name for name in public if name.endswith("Error")}
    assert public - errors - words == set()
    assert public - set(re.findall(r"\w+", read("api"))) == set()


def test_every_command_is_on_the_page_of_the_command_line():
    """What is not there is not found by anybody."""
    text = read("cli")
    assert [name for name in main.list_commands(click.Context(main)) if f"`{name}" not in text] == []


def test_the_sweep_is_the_same_program_on_every_page():
    """A reader of two pages sees that it is the same one."""
    sweeps = {block for topic in PAGES for block in blocks(topic, "python") if block.startswith("# sweep.py")}
    assert len(sweeps) == 1


@pytest.mark.parametrize("topic", PAGES)
def test_every_block_says_its_language(topic):
    """What is not run is marked as something else than Python or a console."""
    languages = {language for language, _ in FENCED.findall(read(topic))}
    assert languages <= {"python", "console", "pycon", "py", "text", "json", "bash", "diff", "gitignore"}
    assert ("py" in languages) <= (topic == "api")


@pytest.mark.parametrize("topic", [topic for topic in PAGES if topic != "api"])
def test_a_line_of_prose_is_one_sentence(topic):
    """So that a change of a sentence is a change of one line."""
    for line in prose(topic).splitlines():
        if not line.startswith(("|", "-", "    ", "<!--", "#")):
            assert not re.search(r"[a-z)`]\. +[A-Z`]", line), line


def test_the_tests_that_prove_the_promises_exist():
    """A test file that was renamed is renamed on the page."""
    named = set(re.findall(r"`(test_\w+\.py)`", read("promises")))
    assert len(named) > 10
    assert named - {path.name for path in (ROOT / "tests").rglob("test_*.py")} == set()


def test_the_gitignore_keeps_configs_and_metrics_and_leaves_out_the_rest(tmp_path):
    """The section works as written, by git's own word."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text(blocks("files", "gitignore")[0])
    with runbook.experiment({"lr": 1}, base_dir=tmp_path / "experiments") as exp:
        exp.save_predictions([1])
        exp.save_metrics("more", {"a": 1})
        (exp.checkpoints_dir / "model.bin").write_bytes(b"x")
    paths = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    asked = subprocess.run(
        ["git", "-C", tmp_path, "check-ignore", "--stdin"], input="\n".join(paths), capture_output=True, text=True
    )
    ignored = {Path(path).name for path in asked.stdout.splitlines() if not path.startswith(".git/")}
    assert ignored == {"model.bin", "test_predictions.pkl", "experiment_registry.json", "experiment_registry.json.lock"}
    assert f"experiments/{exp.id}/config.json" in paths


def test_every_file_that_is_made_is_in_the_tree(tmp_path):
    """The page is a contract, so no file of an experiment is missing from it."""
    tree = next(block for block in blocks("files", "text") if "experiment_registry.json" in block)
    rationales = tmp_path / "rationales.jsonl"
    rationales.write_text("{}\n")
    with pytest.raises(ValueError), runbook.experiment({"lr": 1}, base_dir=tmp_path / "experiments") as exp:
        exp.log(loss=1)
        exp.progress(1, 2)
        exp.save_training_history()
        exp.save_predictions([1])
        exp.save_bias_metrics({"auc": 1})
        exp.save_xai_metrics({"auprc": 1})
        exp.save_eraser_results(rationales)
        exp.save_final_metrics({"f1": 1})
        raise ValueError("the loss is NaN")
    manager = runbook.ExperimentManager(tmp_path / "experiments")
    manager.add_note(exp.id, "a note from outside")
    names = {path.name for path in exp.path.rglob("*")} | {path.name for path in manager.base_dir.iterdir()} - {exp.id}
    assert {name for name in names if name not in re.findall(r"[\w.-]+", tree)} == set()
    assert len(names) > 15


def test_the_pages_have_the_words_of_the_field():
    """What continues the tool of the guide calls it the legacy tool."""
    text = "\n".join(read(topic) for topic in PAGES if topic != "api")
    assert not re.search(r"seed's tool|set aside|life lock", text)
