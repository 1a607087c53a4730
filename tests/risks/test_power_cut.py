"""The power goes at a random moment, on real file systems: what was acknowledged is there when it comes back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

# Runs in a mount namespace of its own. The SHUTDOWN ioctl of ext4 and xfs (include/uapi/linux/fs.h in Linux 6, before
# that one for each file system, with the same number) makes a disk forget whatever it was not told to flush.
DRIVER = """
import fcntl, json, os, random, struct, subprocess, sys, time

image, mountpoint, base, rounds, writer = sys.argv[1:6]
SHUTDOWN, WITHOUT_FLUSHING = 0x8004587D, 2
report = []
for number in range(int(rounds)):
    subprocess.run(["mount", "-o", "loop", image, mountpoint], check=True)
    process = subprocess.Popen(
        [sys.executable, "-c", writer, base], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    # In the first round one experiment is through before the power goes, however slow the machine is.
    first = "".join(process.stdout.readline() for _ in range(1 if number else 3))
    time.sleep(random.Random(number).uniform(0, 0.4))
    directory = os.open(mountpoint, os.O_RDONLY)
    fcntl.ioctl(directory, SHUTDOWN, struct.pack("I", WITHOUT_FLUSHING))
    os.close(directory)
    process.kill()
    said = (first + process.communicate()[0]).rpartition("\\n")[0].splitlines()
    subprocess.run(["umount", mountpoint], check=True)
    subprocess.run(["mount", "-o", "loop", image, mountpoint], check=True)
    raw = open(os.path.join(base, "experiment_registry.json"), "rb").read()
    json.loads(raw)
    listing = subprocess.run(
        [sys.executable, "-c", "import json, sys; from runbook import ExperimentManager; "
         "print(json.dumps(ExperimentManager(sys.argv[1]).list_experiments()))", base],
        capture_output=True, text=True, check=True,
    )
    report.append({"said": said, "listed": json.loads(listing.stdout), "warned": listing.stderr})
    subprocess.run(["umount", mountpoint], check=True)
print(json.dumps(report))
"""
WRITER = """
import sys
from runbook import ExperimentManager
manager = ExperimentManager(sys.argv[1])
number = 0
while True:
    number += 1
    path = manager.create_experiment({"number": number}, "cut")
    print("created", path.name, flush=True)
    manager.save_final_metrics({"number": number})
    print("saved", path.name, flush=True)
    manager.mark_complete()
    print("completed", path.name, flush=True)
"""


def makers(kind: str) -> bool:
    return all(shutil.which(tool) for tool in (f"mkfs.{kind}", "unshare", "mount", "losetup"))


@pytest.fixture
def image(tmp_path, request):
    """A file system of its own in a file."""
    kind = request.param
    if os.getuid() != 0 or not makers(kind):
        pytest.skip(f"needs root, unshare, mount, losetup and mkfs.{kind}")
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(400 * 1024 * 1024)
    subprocess.run([f"mkfs.{kind}", "-q", path], check=True, capture_output=True)
    mountpoint = tmp_path / "mounted"
    mountpoint.mkdir()
    probe = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"mount -o loop {path} {mountpoint} && umount {mountpoint}"], capture_output=True
    )
    if probe.returncode != 0:
        pytest.skip(f"cannot mount {kind} from a file here: {probe.stderr.decode().strip()}")
    return path, mountpoint


def cut(image, rounds):
    path, mountpoint = image
    base = mountpoint / "experiments"
    command = ["unshare", "-m", sys.executable, "-c", DRIVER, path, mountpoint, base, str(rounds), WRITER]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(report):
    acknowledged = {"created": set(), "saved": set(), "completed": set()}
    for number, turn in enumerate(report):
        for line in turn["said"]:
            word, experiment_id = line.split()
            acknowledged[word].add(experiment_id)
        listed = {entry["experiment_id"]: entry for entry in turn["listed"]}
        assert len(listed) == len(turn["listed"]), "no id is listed twice"
        assert acknowledged["created"] <= set(listed), f"lost in round {number}"
        for experiment_id in acknowledged["saved"]:
            assert "number" in listed[experiment_id]["metrics"]
        for experiment_id in acknowledged["completed"]:
            assert listed[experiment_id]["status"] == "completed"
        assert {entry["status"] for entry in listed.values()} <= {"completed", "interrupted"}
        # Without an acknowledgement an experiment may be there or not, but its status is no invention.
        assert all(entry["end_reason"] in {"marked", "vanished", "abandoned"} for entry in listed.values())
        assert "damaged" not in turn["warned"]
    assert acknowledged["completed"], "the writer never got anywhere"


@pytest.mark.parametrize("image", ["ext4", "xfs"], indirect=True)
def test_what_was_acknowledged_survives_a_power_cut(image):
    """The folder, its record and its entry in the registry are durable when the call returns."""
    check(cut(image, rounds=2))


@pytest.mark.campaign
@pytest.mark.timeout(900)
@pytest.mark.parametrize("image", ["ext4", "xfs"], indirect=True)
def test_what_was_acknowledged_survives_many_power_cuts(image):
    """At forty random moments, on one disk that grows older."""
    check(cut(image, rounds=40))
