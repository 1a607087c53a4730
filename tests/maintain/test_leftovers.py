"""The files of dead processes, known by their names and ages."""

from __future__ import annotations

import os
import time

import pytest

from runbook.maintain import leftovers
from runbook.storage import files


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        (".experiment_registry.json.tmp", True),
        (".experiment_registry.json.12-3.tmp", True),
        (".x.12-3.tmp", True),
        (".notes.tmp", False),
        (".cache.v1.tmp", False),
        ("x.12-3.tmp", False),
        (".x.12-.tmp", False),
        (".12-3.tmp", False),
    ],
)
def test_only_names_that_users_do_not_give_are_ours(tmp_path, name, is_ours):
    """A file of a user with such a name must not be deleted for good."""
    assert leftovers.is_ours(tmp_path / name, "experiment_registry.json") == is_ours


def test_the_names_that_we_give_are_ours(tmp_path, monkeypatch):
    """Checked with the module that gives them."""
    names, replace = [], files._replace

    def listing_first(source, target):
        names.extend(os.listdir(tmp_path))
        replace(source, target)

    monkeypatch.setattr(files, "_replace", listing_first)
    for is_locked in (True, False):
        files.write_whole(tmp_path / "experiment_registry.json", b"{}", is_locked=is_locked)
    temporaries = {name for name in names if name.endswith(".tmp")}
    assert len(temporaries) == 2
    assert all(leftovers.is_ours(tmp_path / name, "experiment_registry.json") for name in temporaries)
    assert {path.name for path in leftovers.list_temporaries(tmp_path, is_deep=False)} == set()


def test_what_is_gone_or_new_is_not_old(tmp_path):
    """A process may be at work on it."""
    assert not leftovers.is_old(tmp_path / "gone")
    (tmp_path / "x").touch()
    assert not leftovers.is_old(tmp_path / "x")
    moment = time.time() - leftovers.OLD_S - 1
    os.utime(tmp_path / "x", (moment, moment))
    assert leftovers.is_old(tmp_path / "x")
