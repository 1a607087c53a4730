"""The state of real git repositories, and git processes that are slow, missing or interrupted."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from runbook.capture import git as git_state
from runbook.capture.git import PATCH_LIMIT, Answer, Inquiry
from runbook.record.model import GitState

GIT = shutil.which("git")
PACKAGE_PARENT = Path(git_state.__file__).parents[2]
DEADLINE = git_state._SECONDS

pytestmark = pytest.mark.skipif(GIT is None, reason="git is not installed")
posix_only = pytest.mark.skipif(os.name != "posix", reason="the stand-in for git is a shell script")


def git(*arguments: str, at: Path | str = ".") -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=at, check=True, capture_output=True, stdin=subprocess.DEVNULL
    )
    return done.stdout.decode()


def ask() -> Answer:
    with Inquiry() as inquiry:
        return inquiry.answer()


def ask_well() -> Answer:
    answer = ask()
    assert answer.problems == ()
    return answer


def state_of(answer: Answer) -> GitState:
    assert answer.state is not None
    return answer.state


@pytest.fixture(autouse=True)
def _own_configuration(monkeypatch, tmp_path):
    configuration = tmp_path / "gitconfig"
    configuration.touch()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configuration))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    # Whatever repository the temporary folder may be inside of is none of ours.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """On a busy machine git may take long; the tests of a slow git set the deadline themselves."""
    monkeypatch.setattr(git_state, "_SECONDS", 60.0)


@pytest.fixture
def empty_repository(tmp_path, monkeypatch):
    root = tmp_path / "repository"
    git("init", "-q", "-b", "main", str(root), at=tmp_path)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def repository(empty_repository):
    (empty_repository / "train.py").write_text("epochs = 1\n")
    (empty_repository / "data.bin").write_bytes(b"\0\1\2")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return empty_repository


@pytest.fixture
def fake_git(tmp_path, monkeypatch):
    """Put a shell script in git's place; it returns the file that the script may write process ids to."""

    def install(script: str) -> Path:
        folder, pids = tmp_path / "bin", tmp_path / "pids"
        folder.mkdir()
        program = folder / "git"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("PIDS", str(pids))
        return pids

    return install


# The process and a helper of it, both of which would stay for a minute.
SLEEPING = 'echo $$ >> "$PIDS"; sleep 60 & echo $! >> "$PIDS"; wait'


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # The helper is no child of ours: whoever adopted it may take its time to reap it.
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()


def assert_ended(pids: Path, at_least: int) -> None:
    numbers = [int(line) for line in pids.read_text().split()]
    assert len(numbers) >= at_least
    until = time.monotonic() + 10
    while alive := [number for number in numbers if is_running(number)]:
        assert time.monotonic() < until, f"still running: {alive}"
        time.sleep(0.02)


def run_script(script: str, **options) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_PARENT)} | options.pop("env", {})
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        env=environment, capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip


# What git reports


def test_clean_repository(repository):
    """A clean repository gives its commit and branch, and no patch."""
    commit = git("rev-parse", "HEAD").strip()

    assert ask_well() == Answer(GitState(commit=commit, branch="main"), patch=None)


def test_changed_file_makes_it_dirty_and_gives_a_patch(repository, tmp_path):
    """The patch turns a clone of the commit into what was there."""
    (repository / "train.py").write_text("epochs = 2\n")
    (repository / "new.py").write_text("x\n")
    git("add", "new.py")

    answer = ask_well()

    assert state_of(answer).dirty
    git("clone", "-q", str(repository), "clone", at=tmp_path)
    (tmp_path / "x.patch").write_bytes(answer.patch)
    git("apply", "--index", str(tmp_path / "x.patch"), at=tmp_path / "clone")
    assert (tmp_path / "clone/train.py").read_text() == "epochs = 2\n"
    assert (tmp_path / "clone/new.py").read_text() == "x\n"


def test_removed_and_moved_files(repository):
    """A deletion and a move count as changes and are in the patch."""
    git("mv", "train.py", "learn.py")
    (repository / "data.bin").unlink()

    answer = ask_well()

    assert state_of(answer).dirty
    assert b"rename to learn.py" in answer.patch
    assert b"deleted file" in answer.patch


def test_untracked_files_do_not_make_it_dirty(repository):
    """Untracked files are named, folders by their own name; ignored ones are not."""
    (repository / "notes.txt").touch()
    (repository / "runs").mkdir()
    (repository / "runs/one").touch()
    (repository / "secret").touch()
    (repository / ".git/info/exclude").write_text("secret\n")

    answer = ask_well()

    assert state_of(answer).untracked == ("notes.txt", "runs/")
    assert not state_of(answer).dirty
    assert answer.patch is None


def test_at_most_a_hundred_untracked_files(repository):
    """Of many untracked files the first hundred are named."""
    for number in range(130):
        (repository / f"u{number:03}").touch()

    assert state_of(ask_well()).untracked == tuple(f"u{number:03}" for number in range(100))


def test_subdirectory_answers_for_the_whole_repository(repository, monkeypatch):
    """Below the top of the repository the answer is the same, with any value of diff.relative."""
    git("config", "diff.relative", "true")
    (repository / "train.py").write_text("epochs = 2\n")
    (repository / "deep").mkdir()
    monkeypatch.chdir(repository / "deep")

    answer = ask_well()

    assert b"a/train.py" in answer.patch


def test_repository_without_commits(empty_repository):
    """Before the first commit there is a branch but no commit; nothing staged is no change."""
    (empty_repository / "a.py").touch()

    assert ask_well() == Answer(GitState(branch="main", untracked=("a.py",)))


def test_staged_files_without_a_commit(empty_repository):
    """What is staged before the first commit is a change without a patch, and that is a problem."""
    (empty_repository / "a.py").touch()
    git("add", "a.py")

    answer = ask()

    assert answer.state == GitState(branch="main", dirty=True)
    assert answer.patch is None
    assert answer.problems == ("git diff has no commit to compare with: what is staged is not kept",)


def test_detached_head(repository):
    """A detached head has a commit and no branch."""
    git("checkout", "-q", "--detach")

    state = state_of(ask_well())

    assert state.branch is None
    assert state.commit == git("rev-parse", "HEAD").strip()


def test_linked_worktree(repository, tmp_path, monkeypatch):
    """A linked worktree, whose .git is a file, answers for its own branch."""
    git("worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    monkeypatch.chdir(tmp_path / "linked")

    assert state_of(ask_well()).branch == "other"


def test_merge_conflict(repository):
    """A file in conflict is a change."""
    git("checkout", "-q", "-b", "side")
    (repository / "train.py").write_text("epochs = 2\n")
    git("commit", "-q", "-a", "-m", "two")
    git("checkout", "-q", "main")
    (repository / "train.py").write_text("epochs = 3\n")
    git("commit", "-q", "-a", "-m", "three")
    with pytest.raises(subprocess.CalledProcessError):
        git("merge", "side")

    answer = ask_well()

    assert state_of(answer).dirty
    assert b"<<<<<<<" in answer.patch


def test_binary_change_is_named(repository):
    """A changed binary file is a change that the patch names without its content."""
    (repository / "data.bin").write_bytes(b"\0\3\4")

    answer = ask_well()

    assert state_of(answer).dirty
    assert b"Binary files a/data.bin and b/data.bin differ" in answer.patch


@pytest.mark.skipif(sys.platform in {"darwin", "win32"}, reason="the file system takes names in UTF-8 only")
def test_names_that_are_not_utf8(repository):
    """A stray byte in a name becomes an escape that UTF-8 can write."""
    Path(os.fsdecode(b"caf\xe9.py")).touch()
    Path("naïve\n.py").touch()

    assert state_of(ask_well()).untracked == ("caf\\xe9.py", "naïve\n.py")


def test_submodule(repository, tmp_path):
    """A change of a tracked file in a submodule counts, an untracked file there does not."""
    git("clone", "-q", str(repository), "library", at=tmp_path)
    git("submodule", "--quiet", "add", str(tmp_path / "library"), "library")
    git("commit", "-q", "-m", "submodule")
    git("config", "diff.ignoreSubmodules", "all")
    (repository / "library/new").touch()
    before = ask_well()

    (repository / "library/train.py").write_text("epochs = 9\n")
    after = ask_well()

    assert (state_of(before).dirty, before.patch) == (False, None)
    assert state_of(after).dirty
    assert b"-dirty" in after.patch


def test_large_patch_is_whole(repository):
    """A patch far larger than a pipe holds arrives as git writes it."""
    (repository / "train.py").write_text("".join(f"line {number}\n" for number in range(30_000)))

    answer = ask_well()

    assert answer.patch.endswith(b"+line 29999\n")
    assert not state_of(answer).patch_truncated


def test_huge_patch_is_cut_at_the_end_of_a_line(repository):
    """A patch beyond the limit is cut after a line and marked as truncated."""
    (repository / "train.py").write_text("".join(f"line {number}\n" for number in range(1_000_000)))

    answer = ask_well()

    assert state_of(answer).patch_truncated
    assert PATCH_LIMIT - 20 < len(answer.patch) <= PATCH_LIMIT
    head, _, last = answer.patch.removesuffix(b"\n").rpartition(b"\n")
    assert head.rpartition(b"\n")[2] == b"+line %d" % (int(last.split()[1]) - 1)


def test_many_changed_files(repository):
    """A status far larger than a pipe holds is read to its end."""
    for number in range(2_000):
        (repository / f"{number:04}-{'x' * 60}").touch()
    git("add", ".")
    (repository / "last").touch()

    assert state_of(ask_well()).untracked == ("last",)


@posix_only
def test_settings_of_the_user_do_not_change_the_patch(repository, tmp_path, monkeypatch):
    """No external program, colour or prefix of the user's configuration gets into the answer."""
    (repository / "train.py").write_text("above\nepochs = 2\nbelow\n")
    git("commit", "-q", "-a", "-m", "context")
    (repository / "train.py").write_text("above\nepochs = 3\nbelow\n")
    before = ask_well()
    marker = tmp_path / "marker"
    for name, value in {
        "core.fsmonitor": f"touch {marker}; false",
        "core.pager": f"touch {marker}",
        "diff.external": f"touch {marker};",
        "diff.text.textconv": f"touch {marker}; cat",
        "diff.text.command": f"touch {marker};",
        "diff.noprefix": "true",
        "diff.context": "0",
        "diff.submodule": "log",
        "color.ui": "always",
        "status.showUntrackedFiles": "no",
        "status.showStash": "true",
        "status.branch": "false",
    }.items():
        git("config", "--global", name, value)
    (repository / ".git/info/attributes").write_text("*.py diff=text\n")
    monkeypatch.setenv("GIT_DIFF_OPTS", "--unified=0")

    assert ask_well() == before
    assert not marker.exists()


def test_variables_of_a_git_hook_are_not_followed(repository, tmp_path, monkeypatch):
    """GIT_DIR and the like name the hook's repository; the answer is about the current directory."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))

    assert state_of(ask_well()).branch == "main"


def test_tracing_does_not_disturb(repository, monkeypatch):
    """The lines of GIT_TRACE on stderr are no part of the answer."""
    monkeypatch.setenv("GIT_TRACE", "1")

    assert state_of(ask_well()).branch == "main"


def test_remote_loses_its_credentials(repository):
    """The address of origin is kept without the user and the token in it."""
    git("remote", "add", "origin", "https://ada:ghp_abcdef@example.org/x.git")

    answer = ask_well()

    assert state_of(answer).remote == "https://example.org/x.git"
    assert "ghp_abcdef" not in repr(answer)


# Where git cannot report


def test_outside_of_a_repository(tmp_path, monkeypatch):
    """Outside of a repository the answer is empty, and that is no problem."""
    monkeypatch.chdir(tmp_path)

    assert ask() == Answer()


def test_bare_repository(tmp_path, monkeypatch):
    """A bare repository has no work tree, and that is a problem."""
    git("init", "-q", "--bare", "bare.git", at=tmp_path)
    monkeypatch.chdir(tmp_path / "bare.git")

    answer = ask()

    assert answer.state is None
    assert "work tree" in answer.problems[0]


def test_broken_git_file(tmp_path, monkeypatch):
    """A .git file that leads nowhere is a problem, not the absence of a repository."""
    (tmp_path / ".git").write_text("gitdir: /nowhere/at/all\n")
    monkeypatch.chdir(tmp_path)

    answer = ask()

    assert answer.state is None
    assert "/nowhere/at/all" in answer.problems[0]


def test_dubious_ownership(repository, monkeypatch):
    """A repository that git refuses because of its owner is a problem with git's own words."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    answer = ask()

    assert answer.state is None
    assert "dubious ownership" in answer.problems[0]


def test_damaged_repository(repository):
    """Where the objects of the commit are missing, what git can still report is kept and the rest is a problem."""
    (repository / "train.py").write_text("epochs = 2\n")
    shutil.rmtree(repository / ".git/objects")
    (repository / ".git/objects").mkdir()

    answer = ask()

    assert answer.patch is None
    assert any("fatal: " in problem for problem in answer.problems)


def test_no_git(repository, tmp_path, monkeypatch):
    """Without git the problem is that it was not found."""
    monkeypatch.setenv("PATH", str(tmp_path))

    answer = ask()

    assert answer.state is None
    assert "git was not found" in answer.problems[0]


@posix_only
def test_git_that_writes_nothing(repository, fake_git):
    """A git that ends well without an answer is not taken for a clean repository."""
    fake_git("exit 0")

    answer = ask()

    assert answer.state is None
    assert answer.problems[0].endswith("unknown: no output")


@posix_only
def test_git_that_cannot_be_run(repository, fake_git, monkeypatch):
    """A program that the system refuses to run is a problem."""
    fake_git("")
    program = Path(shutil.which("git"))
    program.write_bytes(b"\x7fELF")
    monkeypatch.setenv("PATH", str(program.parent))

    answer = ask()

    assert answer.state is None
    assert "git could not be asked" in answer.problems[0]


@posix_only
def test_git_too_old_for_our_options(repository, fake_git):
    """The complaint of an old git about an option is the problem."""
    fake_git("echo \"error: unknown option 'no-ahead-behind'\" >&2; exit 129")

    answer = ask()

    assert answer.state is None
    assert "unknown option" in answer.problems[0]


def test_no_more_threads(repository, monkeypatch):
    """A thread that cannot be started is a problem."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert "can't start new thread" in ask().problems[0]


@posix_only
@pytest.mark.parametrize("nth", [2, 3])
def test_no_more_processes(repository, fake_git, monkeypatch, nth):
    """Where the system refuses a process, that is a problem and the processes before it are killed."""
    start, count = subprocess.Popen.__init__, iter(range(1, 100))

    def refuse_one(process, *arguments, **options):
        if next(count) == nth:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        start(process, *arguments, **options)

    pids = fake_git(SLEEPING)
    pids.touch()
    monkeypatch.setattr(subprocess.Popen, "__init__", refuse_one)

    assert "temporarily unavailable" in ask().problems[0]
    assert_ended(pids, at_least=0)


# What git must not do


def test_index_is_never_locked_or_written(repository):
    """Neither the index nor a lock beside it is written, though the files look changed since the last look."""
    for name in ("train.py", "data.bin"):
        os.utime(repository / name, (1, 1))

    def trace() -> tuple[int, ...]:
        # Making and removing index.lock would both change the time of the folder.
        folder, index = (repository / ".git").stat(), (repository / ".git/index").stat()
        return folder.st_mtime_ns, index.st_mtime_ns, index.st_ino

    before = trace()

    assert not state_of(ask_well()).dirty

    assert trace() == before
    git("diff", "HEAD")
    assert trace() != before, "the test would not notice a lock"


def test_locked_index_is_no_obstacle(repository):
    """While another git holds the lock of the index, the answer comes all the same."""
    (repository / "train.py").write_text("epochs = 2\n")
    (repository / ".git/index.lock").touch()

    assert b"+epochs = 2" in ask_well().patch


def test_no_process_thread_or_pipe_is_left(repository):
    """After the answer there is no child, not even a zombie, no other thread, and no open file."""
    script = """
        import os, threading
        from runbook.capture.git import Inquiry
        def files(): return os.listdir("/dev/fd")
        with Inquiry() as inquiry: inquiry.answer()
        before = files()
        with Inquiry() as inquiry: answer = inquiry.answer()
        assert answer.state and not answer.problems, answer
        assert threading.active_count() == 1
        assert files() == before
        try: os.waitpid(-1, 0)
        except ChildProcessError: print("none")
    """
    done = run_script(script)
    assert (done.stdout, done.stderr) == ("none\n", "")


@posix_only
def test_host_that_ignores_its_children(repository, tmp_path):
    """Where the system reaps the children by itself, and exit codes are lost, the answers are still right."""
    script = """
        import os, signal, sys
        from runbook.capture.git import Inquiry
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        for folder in sys.stdin.read().split():
            os.chdir(folder)
            with Inquiry() as inquiry: answer = inquiry.answer()
            print(answer.state and answer.state.branch, answer.problems)
    """
    done = run_script(script, input=f"{repository} {tmp_path}")
    assert (done.stdout, done.stderr) == ("main ()\nNone ()\n", "")


# When git is slow


@pytest.mark.slow
@posix_only
def test_slow_git_is_killed_at_the_deadline(repository, fake_git, monkeypatch):
    """A git that sleeps is killed with its helpers after two seconds, and that is a problem."""
    monkeypatch.setattr(git_state, "_SECONDS", DEADLINE)
    pids = fake_git(SLEEPING)

    answer = ask()

    assert answer.state is None
    assert answer.problems == (
        "git status took longer than 2 seconds: the commit and the uncommitted changes are unknown",
    )
    # On a busy machine not all of them had begun by then.
    assert_ended(pids, at_least=1)


@pytest.mark.slow
@posix_only
def test_slow_diff_does_not_lose_the_rest(repository, fake_git, monkeypatch):
    """When only the diff takes too long, commit and remote are kept."""
    git("remote", "add", "origin", "https://example.org/x.git")
    (repository / "train.py").write_text("epochs = 2\n")
    commit = git("rev-parse", "HEAD").strip()
    monkeypatch.setattr(git_state, "_SECONDS", 4.0)
    pids = fake_git(f'case "$*" in *" diff "*) {SLEEPING};; *) exec "{GIT}" "$@";; esac')

    answer = ask()

    assert answer.state == GitState(commit=commit, branch="main", dirty=True, remote="https://example.org/x.git")
    assert answer.patch is None
    assert answer.problems == ("git diff took longer than 4 seconds: the uncommitted changes are not kept",)
    assert_ended(pids, at_least=2)


@pytest.mark.slow
@posix_only
def test_helper_that_keeps_the_pipe_open(repository, fake_git, monkeypatch):
    """A helper that outlives git and holds its output is killed too."""
    monkeypatch.setattr(git_state, "_SECONDS", 2.0)
    pids = fake_git('sleep 60 & echo $! >> "$PIDS"')

    assert "took longer" in ask().problems[0]
    assert_ended(pids, at_least=1)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("setsid") is None, reason="setsid is not installed")
def test_helper_that_left_the_session(repository, fake_git, monkeypatch):
    """A helper outside of git's session is not killed; though it keeps the pipe open, nobody waits for it."""
    monkeypatch.setattr(git_state, "_SECONDS", 2.0)
    pids = fake_git("""setsid sh -c 'echo $$ >> "$PIDS"; exec sleep 60' &""")

    assert "took longer" in ask().problems[0]

    assert "runbook-git" not in {thread.name for thread in threading.enumerate()}
    for pid in pids.read_text().split():
        os.kill(int(pid), signal.SIGKILL)


@posix_only
def test_endless_diff_is_cut_and_killed(repository, fake_git):
    """A diff without end is cut at the limit and ended, long before the deadline."""
    (repository / "train.py").write_text("epochs = 2\n")
    pids = fake_git(f'case "$*" in *" diff "*) echo $$ >> "$PIDS"; trap "" PIPE; while :; do echo {"x" * 9999}; done;; *) exec "{GIT}" "$@";; esac')  # fmt: skip

    answer = ask_well()

    assert state_of(answer).patch_truncated
    assert len(answer.patch) == PATCH_LIMIT // 10_000 * 10_000
    assert_ended(pids, at_least=1)


@pytest.mark.skipif(sys.platform != "linux", reason="getrusage counts in other units")
def test_endless_output_does_not_fill_the_memory(repository, fake_git):
    """A git that writes to one of its streams without end takes some megabytes of memory until it is killed."""
    fake_git('case "$*" in *" status "*) exec yes "error: x" >&2;; *) exec yes;; esac')
    script = """
        import resource
        from runbook.capture import git
        git._SECONDS = 60.0
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with git.Inquiry() as inquiry: answer = inquiry.answer()
        assert answer.state is None and "error: " in answer.problems[0], answer
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = run_script(script)
    assert done.stderr == ""
    assert int(done.stdout) < 300 * 1024


@posix_only
def test_leaving_early_kills_git(repository, fake_git):
    """An exception out of the block passes through, and git is gone with it."""
    pids = fake_git(SLEEPING)
    with pytest.raises(KeyError), Inquiry():
        while not pids.exists() or len(pids.read_text().splitlines()) < 6:
            time.sleep(0.01)
        raise KeyError

    assert_ended(pids, at_least=6)


@posix_only
def test_interrupt_while_the_thread_starts(repository, fake_git, monkeypatch):
    """A KeyboardInterrupt during the start passes through after the processes that were started are gone."""
    fake_git(SLEEPING)
    monkeypatch.setattr(git_state, "_GRACE", 30.0)
    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)

    with pytest.raises(KeyboardInterrupt):
        ask()

    assert "runbook-git" not in {thread.name for thread in threading.enumerate()}


@posix_only
@pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM"])
def test_signal_while_git_works(repository, fake_git, kind):
    """The exception of a signal handler passes through at once, and leaves no git behind."""
    pids = fake_git(SLEEPING)
    script = """
        import signal, sys
        from runbook.capture import git
        from runbook.capture.git import Inquiry
        git._SECONDS = 60.0
        def end(number, frame): raise SystemExit(128 + number)
        signal.signal(signal.SIGTERM, end)
        try:
            with Inquiry() as inquiry: inquiry.answer()
        except KeyboardInterrupt:
            sys.exit(77)
        print("the signal was lost")
    """
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_PARENT)}
    host = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    while not pids.exists() or len(pids.read_text().splitlines()) < 6:
        time.sleep(0.01)

    host.send_signal(getattr(signal, kind))

    output, _ = host.communicate(timeout=30)
    assert (output, host.returncode) == (b"", {"SIGINT": 77, "SIGTERM": 143}[kind])
    assert_ended(pids, at_least=6)
