"""Durable writes: whole files appear completely or not at all, logs grow by whole lines."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.storage import files

posix = pytest.mark.skipif(os.name != "posix", reason="modes, groups and symbolic links are tested on POSIX")


def run(code: str, *args: object, before: list[str] | None = None, timeout: float = 60) -> subprocess.CompletedProcess:
    """Run a program with runbook's files, by way of another command where one is given."""
    command = [*(before or []), sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def works(*command: str) -> bool:
    """Whether a command is installed and allowed here."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_strace = pytest.mark.skipif(
    not works("strace", "-qq", "-o", "/dev/null", "-e", "trace=rename", "true"),
    reason="strace is not installed or may not trace",
)
needs_namespaces = pytest.mark.skipif(
    not works("unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt"), reason="no right to mount in a namespace"
)


def traced(*inject: str) -> list[str]:
    """strace that breaks system calls: `rename:error=EIO:when=1`."""
    calls = ",".join(fault.partition(":")[0] for fault in inject)
    injected = [argument for fault in inject for argument in ("-e", f"inject={fault}")]
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", *injected]


def names(folder: Path) -> list[str]:
    """What is in a folder, hidden files as well."""
    return sorted(os.listdir(folder))


# --- whole files


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=5000), st.binary(max_size=5000))
def test_a_file_is_made_and_replaced_whole(tmp_path_factory, before, after):
    """Whatever the content: it is there, and nothing else is."""
    folder = tmp_path_factory.mktemp("files")
    path = folder / "a.json"
    for content in (before, after):
        files.write_whole(path, content)
        assert path.read_bytes() == content
    assert names(folder) == ["a.json"]


def test_until_the_block_ends_the_old_file_is_there(tmp_path):
    """A reader never sees a part."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with files.replacing(path) as file:
        file.write(b"n" * 100_000)
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"n" * 100_000


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError])
@pytest.mark.parametrize("existed", [True, False])
def test_when_the_block_fails_nothing_has_happened(tmp_path, error, existed):
    """The old file stays, no temporary does, and the error comes out as it was."""
    path = tmp_path / "a"
    if existed:
        path.write_bytes(b"old")
    failure = error("no")
    with pytest.raises(error) as caught, files.replacing(path) as file:
        file.write(b"half")
        raise failure
    assert caught.value is failure
    assert names(tmp_path) == (["a"] if existed else [])
    assert not existed or path.read_bytes() == b"old"


def test_a_folder_that_is_missing_is_an_error_of_the_caller(tmp_path):
    """Nothing is made on the way."""
    with pytest.raises(FileNotFoundError):
        files.write_whole(tmp_path / "none" / "a", b"x")
    assert names(tmp_path) == []


def test_a_directory_in_the_way_is_an_error_and_leaves_nothing(tmp_path):
    """A file cannot take its name."""
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="a"):
        files.write_whole(tmp_path / "a", b"x")
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("name", ["a", "ä", "a b", ".hidden", "a" * 200, "-x", "a\nb"])
def test_a_file_of_any_name_is_written(tmp_path, name):
    """The temporary has a name that the disk takes as well."""
    files.write_whole(tmp_path / name, b"x")
    assert names(tmp_path) == [name]


def test_an_old_temporary_of_another_process_stops_no_write(tmp_path):
    """What a killed process left cannot stop or change anything."""
    for pid in (os.getpid(), 1, 99999):
        (tmp_path / f".a.{pid}.tmp").write_bytes(b"stale" * 100)
    files.write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_threads_that_replace_one_file_at_once_leave_one_of_them_whole(tmp_path):
    """Two threads may save the same metrics at the same moment: the last one wins, nobody fails."""
    path = tmp_path / "a"
    contents = [bytes([65 + n]) * (20_000 * (n + 1)) for n in range(4)]
    start = threading.Barrier(len(contents))
    problems: list[object] = []

    def write(content):
        start.wait()
        for _ in range(30):
            try:
                files.write_whole(path, content, sync_directory=False)
                seen = path.read_bytes()
                if seen not in contents:
                    problems.append(f"a mixture of {sorted(set(seen))}, {len(seen)} bytes")
            except OSError as error:
                problems.append(repr(error))

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert names(tmp_path) == ["a"]


def test_a_writer_inside_a_writer_of_the_same_file_does_no_harm(tmp_path):
    """A signal handler or a finalizer may save while the same file is being saved."""
    path = tmp_path / "a"
    with files.replacing(path) as outer:
        outer.write(b"outer" * 10)
        files.write_whole(path, b"inner")
        assert path.read_bytes() == b"inner"
        outer.write(b"outer")
    assert path.read_bytes() == b"outer" * 11
    assert names(tmp_path) == ["a"]


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o660, 0o664, 0o666, 0o444])
def test_the_mode_of_a_file_that_is_replaced_is_kept(tmp_path, mode):
    """A colleague who could read it still can."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(mode)
    files.write_whole(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"new"


MAKERS = {
    "a whole file": "files.write_whole(folder / 'made', b'x')",
    "a log": "log = files.LineLog(folder / 'made'); log.append(b'x\\n'); log.close()",
    "a mark": "files.touch(folder / 'made')",
    "a directory": "files.make_directory(folder / 'made')",
    "a directory unless it exists": "files.ensure_directory(folder / 'made')",
    "a copy": "files.copy_file(Path(__import__('sys').executable), folder / 'made')",
}


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
@pytest.mark.parametrize("maker", MAKERS)
def test_in_a_folder_that_a_group_shares_the_group_can_use_everything(tmp_path, maker, umask):
    """Whatever the umask: files can be written by the group, folders as well, and they stay in it."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o2775)
    previous = os.umask(umask)
    try:
        exec(MAKERS[maker], {"files": files, "folder": folder, "Path": Path})
    finally:
        os.umask(previous)
    made = (folder / "made").stat()
    assert made.st_mode & 0o060 == 0o060
    assert made.st_gid == folder.stat().st_gid
    if stat.S_ISDIR(made.st_mode):
        assert made.st_mode & 0o2070 == 0o2070


@posix
@pytest.mark.parametrize("maker", MAKERS)
def test_in_a_private_folder_the_umask_decides(tmp_path, maker):
    """Nobody's files are opened to others."""
    folder = tmp_path / "private"
    folder.mkdir(mode=0o755)
    previous = os.umask(0o077)
    try:
        exec(MAKERS[maker], {"files": files, "folder": folder, "Path": Path})
    finally:
        os.umask(previous)
    assert (folder / "made").stat().st_mode & 0o077 == 0


@posix
def test_the_target_of_a_symbolic_link_is_replaced(tmp_path):
    """Somebody keeps the file on another disk, and wants it there."""
    real = tmp_path / "elsewhere" / "real"
    real.parent.mkdir()
    real.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(Path("elsewhere", "real"))
    files.write_whole(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert names(tmp_path) == ["elsewhere", "link"]
    assert names(real.parent) == ["real"]


@posix
def test_the_target_of_a_dangling_link_is_made(tmp_path):
    """The link stays a link."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    files.write_whole(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@posix
def test_a_hard_link_keeps_the_old_content(tmp_path):
    """A backup made of links is a backup."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    os.link(path, tmp_path / "backup")
    files.write_whole(path, b"new")
    assert (tmp_path / "backup").read_bytes() == b"old"


# --- directories and empty files


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link"])
def test_a_directory_is_made_exclusively(tmp_path, kind):
    """That is what reserves an id."""
    path = tmp_path / "a"
    {
        "file": path.touch,
        "directory": path.mkdir,
        "dangling link": lambda: path.symlink_to(tmp_path / "none"),
    }[kind]()
    with pytest.raises(FileExistsError):
        files.make_directory(path)


def test_a_directory_that_exists_is_enough(tmp_path):
    """Any number of processes may prepare a base directory."""
    for _ in range(2):
        files.ensure_directory(tmp_path / "a")
    assert (tmp_path / "a").is_dir()


def test_a_file_where_a_directory_should_be_is_an_error_at_once(tmp_path):
    """And not by the first file that cannot be put into it."""
    (tmp_path / "a").touch()
    with pytest.raises((FileExistsError, NotADirectoryError)):
        files.ensure_directory(tmp_path / "a")


def test_touching_keeps_the_content(tmp_path):
    """A mark that is there already stays."""
    path = tmp_path / "a"
    path.write_bytes(b"content")
    files.touch(path)
    assert path.read_bytes() == b"content"


# --- logs


@settings(deadline=None, max_examples=30)
@given(st.lists(st.binary(max_size=100).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=20))
def test_a_log_holds_its_lines_in_order(tmp_path_factory, lines):
    """Each is in the file when `append` returns."""
    path = tmp_path_factory.mktemp("log") / "log"
    log = files.LineLog(path)
    for number, line in enumerate(lines, start=1):
        log.append(line)
        assert path.read_bytes() == b"".join(lines[:number])
    log.sync()
    log.close()


def test_a_log_makes_its_file_with_the_first_line(tmp_path):
    """An experiment that logs nothing has none."""
    log = files.LineLog(tmp_path / "log")
    log.sync()
    log.close()
    assert names(tmp_path) == []


def test_a_log_goes_on_after_close(tmp_path):
    """Closing it twice is no error either."""
    log = files.LineLog(tmp_path / "log")
    for line in (b"1\n", b"2\n"):
        log.append(line)
        log.close()
        log.close()
    assert (tmp_path / "log").read_bytes() == b"1\n2\n"


def test_lines_of_several_processes_do_not_mix(tmp_path):
    """Forked workers may log into the experiment of their parent."""
    path = tmp_path / "log"
    code = """
        import sys
        from pathlib import Path
        from runbook.storage.files import LineLog
        log = LineLog(Path(sys.argv[1]))
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(300):
            log.append(sys.argv[2].encode() * 300 + b"\\n")
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    workers = [
        subprocess.Popen([*command, letter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for letter in "abc"
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate()
    lines = path.read_text().splitlines()
    assert len(lines) == 900
    assert all(line == line[0] * 300 for line in lines)


@posix
def test_a_line_that_does_not_fit_leaves_no_part_of_itself(tmp_path):
    """At the limit of a file's size the kernel takes the beginning of a line; it is taken back."""
    code = """
        import resource, signal, sys
        from pathlib import Path
        from runbook.storage.files import LineLog
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        log = LineLog(Path(sys.argv[1]))
        log.append(b"a" * 599 + b"\\n")
        try:
            log.append(b"b" * 599 + b"\\n")
        except OSError as error:
            print(error.errno)
        log.append(b"c" * 99 + b"\\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        log.append(b"d" * 599 + b"\\n")
    """
    done = run(code, tmp_path / "log")
    assert done.stdout == f"{errno.EFBIG}\n", done.stderr
    lines = (tmp_path / "log").read_bytes().splitlines()
    assert lines == [b"a" * 599, b"c" * 99, b"d" * 599]


FULL_DISK = """
    set -e
    mount -t tmpfs -o size=64k none "$1"
    exec "$2" "$3" "$1"
"""


def on_a_small_disk(tmp_path: Path, code: str) -> subprocess.CompletedProcess:
    """Run a program whose first argument is a disk of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(code))
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", FULL_DISK, "sh", str(disk), sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


@needs_namespaces
def test_on_a_full_disk_a_log_keeps_whole_lines_and_goes_on_when_there_is_room(tmp_path):
    """What could be written is whole, and the next line is not glued to a torn one."""
    done = on_a_small_disk(
        tmp_path,
        """
        import errno, os, sys
        from pathlib import Path
        from runbook.storage.files import LineLog
        disk = Path(sys.argv[1])
        (disk / "ballast").write_bytes(b"x" * 20_000)
        log = LineLog(disk / "log")
        line = b"a" * 2999 + b"\\n"
        written = 0
        try:
            while True:
                log.append(line)
                written += 1
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
        assert (disk / "log").read_bytes() == line * written
        (disk / "ballast").unlink()
        log.append(b"after\\n")
        assert (disk / "log").read_bytes() == line * written + b"after\\n"
        print("whole", written > 3)
        """,
    )
    assert done.stdout == "whole True\n", done.stderr


@needs_namespaces
def test_on_a_full_disk_the_old_file_stays_and_no_temporary_does(tmp_path):
    """Half a file is never renamed to the target."""
    done = on_a_small_disk(
        tmp_path,
        """
        import errno, os, sys
        from pathlib import Path
        from runbook.storage import files
        disk = Path(sys.argv[1])
        files.write_whole(disk / "a", b"old" * 100)
        (disk / "source").write_bytes(b"s" * 24_000)
        os.mkdir(disk / "tree")
        for n in range(5):
            (disk / "tree" / str(n)).write_bytes(b"t" * 4_000)
        attempts = [
            lambda: files.write_whole(disk / "a", b"n" * 100_000),
            lambda: files.write_whole(disk / "b", b"n" * 100_000),
            lambda: files.copy_file(disk / "source", disk / "c"),
            lambda: files.copy_tree(disk / "tree", disk / "d"),
        ]
        for attempt in attempts:
            try:
                attempt()
            except OSError as error:
                assert error.errno == errno.ENOSPC or "No space" in str(error), error
            else:
                raise SystemExit("no error")
        assert (disk / "a").read_bytes() == b"old" * 100
        print(sorted(os.listdir(disk)))
        """,
    )
    assert done.stdout == "['a', 'source', 'tree']\n", done.stderr


# --- copies


def tree(root: Path) -> dict[str, bytes | str | None]:
    """The content of a directory: bytes of files, targets of links, None for directories."""
    found: dict[str, bytes | str | None] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = None if path.is_dir() else path.read_bytes()
    return found


@pytest.fixture
def source(tmp_path) -> Path:
    """A directory with files, a nested one, an empty one and links."""
    root = tmp_path / "source"
    (root / "inner" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.txt").write_bytes(b"a")
    (root / "inner" / "deep" / "b.bin").write_bytes(bytes(range(256)) * 100)
    if os.name == "posix":
        (root / "link").symlink_to("a.txt")
        (root / "dangling").symlink_to("none")
        (root / "inner" / "up").symlink_to("..")
    return root


def test_a_directory_is_copied_with_everything_in_it(tmp_path, source):
    """Links stay links, even those that lead nowhere or in a circle."""
    files.copy_tree(source, tmp_path / "copy")
    assert tree(tmp_path / "copy") == tree(source)
    assert names(tmp_path) == ["copy", "source"]


def test_a_directory_is_not_copied_over_another(tmp_path, source):
    """What is there stays as it is."""
    target = tmp_path / "copy"
    target.mkdir()
    (target / "mine").write_bytes(b"mine")
    with pytest.raises(OSError, match="copy"):
        files.copy_tree(source, target)
    assert tree(target) == {"mine": b"mine"}
    assert names(tmp_path) == ["copy", "source"]


@posix
def test_what_cannot_be_copied_is_an_error_and_nothing_is_left(tmp_path, source):
    """A pipe has no content."""
    os.mkfifo(source / "pipe")
    with pytest.raises(OSError, match="pipe"):
        files.copy_tree(source, tmp_path / "copy")
    assert names(tmp_path) == ["source"]


@posix
def test_read_only_files_are_copied_as_well(tmp_path, source):
    """And stay read-only."""
    (source / "a.txt").chmod(0o444)
    files.copy_tree(source, tmp_path / "copy")
    assert stat.S_IMODE((tmp_path / "copy" / "a.txt").stat().st_mode) == 0o444


def test_a_directory_is_replaced_by_a_copy(tmp_path, source):
    """Nothing of the former one stays."""
    target = tmp_path / "copy"
    files.replace_tree(source, target)
    assert tree(target) == tree(source)
    (target / "old").write_bytes(b"old")
    (source / "new").write_bytes(b"new")
    files.replace_tree(source, target)
    assert tree(target) == tree(source)
    assert names(tmp_path) == ["copy", "source"]


def test_when_a_copy_fails_the_former_directory_stays(tmp_path):
    """It goes only when the new one is whole."""
    target = tmp_path / "copy"
    target.mkdir()
    (target / "old").write_bytes(b"old")
    with pytest.raises(OSError, match="none"):
        files.replace_tree(tmp_path / "none", target)
    assert tree(target) == {"old": b"old"}
    assert names(tmp_path) == ["copy"]


@posix
def test_a_link_to_a_directory_can_be_replaced_by_a_copy(tmp_path, source):
    """Somebody keeps results on another disk; what the link led to is not ours to delete."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_bytes(b"precious")
    target = tmp_path / "copy"
    target.symlink_to(elsewhere)
    files.replace_tree(source, target)
    assert tree(target) == tree(source)
    assert not any(name.startswith(".") for name in names(tmp_path))
    assert target.is_symlink() or (elsewhere / "precious").read_bytes() == b"precious"


def test_a_directory_is_not_copied_into_itself_without_end(tmp_path, source):
    """`save_artifact(".")` from the directory that holds the experiments: refused or done, but it ends."""
    target = source / "inner" / "copy"
    before = tree(source)
    try:
        files.copy_tree(source, target)
    except (OSError, ValueError, RecursionError) as error:
        assert str(source) in str(error)
        assert tree(source) == before
    else:
        assert tree(target) == before


def test_a_copied_file_has_the_content_of_its_source(tmp_path):
    """And the source stays."""
    (tmp_path / "a").write_bytes(b"x" * 300_000)
    files.copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes() == b"x" * 300_000
    assert names(tmp_path) == ["a", "b"]


def test_a_file_copied_onto_itself_keeps_its_content(tmp_path):
    """`save_artifact` of a file that is in `results/` already."""
    (tmp_path / "a").write_bytes(b"content")
    files.copy_file(tmp_path / "a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"content"


# --- faults at the system call

WRITE_WHOLE = """
    import sys
    from pathlib import Path
    from runbook.storage import files
    try:
        files.write_whole(Path(sys.argv[1]), b"new" * 1000)
    except OSError as error:
        raise SystemExit(error.errno)
"""
REPLACE_TREE = """
    import sys
    from pathlib import Path
    from runbook.storage import files
    try:
        files.replace_tree(Path(sys.argv[1]), Path(sys.argv[2]))
    except OSError as error:
        raise SystemExit(error.errno)
"""
RENAMES = "rename,renameat,renameat2"


@needs_strace
@pytest.mark.parametrize(
    "fault",
    [
        "fsync:error=EIO:when=1",
        "fsync:error=ENOSPC:when=1",
        "fsync:error=EDQUOT:when=1",
        "write:error=ENOSPC:when=1",
        "write:error=EDQUOT:when=1",
        "write:error=EIO:when=1",
        "rename:error=EIO:when=1",
        "rename:error=ENOSPC:when=1",
        "fchmod:error=EIO:when=1",
    ],
)
def test_an_error_of_the_disk_is_raised_and_the_old_file_stays(tmp_path, fault):
    """With the disk's own number; no temporary stays."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o600)
    done = run(WRITE_WHOLE, path, before=traced(fault))
    expected = getattr(errno, fault.split("error=")[1].partition(":")[0])
    assert done.returncode == expected, done.stderr
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@needs_strace
def test_an_error_while_the_directory_is_made_durable_is_raised(tmp_path):
    """The file is there by then, but nobody may rely on it."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    done = run(WRITE_WHOLE, path, before=traced("fsync:error=EIO:when=2"))
    assert done.returncode == errno.EIO, done.stderr
    assert path.read_bytes() == b"new" * 1000
    assert names(tmp_path) == ["a"]


@needs_strace
def test_a_signal_in_the_middle_of_a_write_is_no_error(tmp_path):
    """An interrupted system call is done again."""
    path = tmp_path / "a"
    done = run(WRITE_WHOLE, path, before=traced("write:error=EINTR:when=1", "openat:error=EINTR:when=1"))
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == b"new" * 1000


@needs_strace
@pytest.mark.parametrize(
    "fault", ["fsync:signal=SIGKILL:when=1", "rename:signal=SIGKILL:when=1", "fsync:signal=SIGKILL:when=2"]
)
def test_a_killed_writer_leaves_the_old_file_or_the_new_one(tmp_path, fault):
    """And at most one temporary is left, which stops no later write."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    done = run(WRITE_WHOLE, path, before=traced(fault))
    assert done.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}
    assert path.read_bytes() in {b"old", b"new" * 1000}
    assert len(names(tmp_path)) <= 2
    assert run(WRITE_WHOLE, path).returncode == 0
    assert path.read_bytes() == b"new" * 1000


@needs_strace
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_an_error_while_a_directory_is_replaced_leaves_the_former_or_the_new_one(tmp_path, source, nth):
    """Whichever rename fails, something whole stands under the name and nothing beside it."""
    target = tmp_path / "copy"
    target.mkdir()
    (target / "old").write_bytes(b"old")
    done = run(REPLACE_TREE, source, target, before=traced(f"rename:error=EIO:when={nth}"))
    assert done.returncode in {0, errno.EIO}, done.stderr
    assert tree(target) in [{"old": b"old"}, tree(source)]
    assert names(tmp_path) == ["copy", "source"]


@needs_strace
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_killed_replacement_of_a_directory_loses_neither(tmp_path, source, nth):
    """Between two renames there may be nothing of that name, but the former content is beside it, and it can be done again."""
    target = tmp_path / "copy"
    target.mkdir()
    (target / "old").write_bytes(b"old")
    done = run(REPLACE_TREE, source, target, before=traced(f"rename:signal=SIGKILL:when={nth}"))
    assert done.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}
    trees = [tree(path) for path in tmp_path.iterdir() if path != source]
    assert {"old": b"old"} in trees or tree(source) in trees
    assert run(REPLACE_TREE, source, target).returncode == 0
    assert tree(target) == tree(source)


def test_a_line_that_was_cut_off_stays_where_another_process_has_appended_since(tmp_path, monkeypatch):
    """To take it back would take the line of the other process as well."""
    log = files.LineLog(tmp_path / "log")
    log.append(b"one\n")
    write, left = os.write, ["the beginning"]

    def fill_up(descriptor, data):
        if left:
            left.pop()
            return write(descriptor, data[:3])
        # The disk is full for us; another process has found the last free block.
        with (tmp_path / "log").open("ab") as other:
            other.write(b"theirs\n")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full, pytest.raises(OSError, match="No space left"):
        full.setattr(os, "write", fill_up)
        log.append(b"two two\n")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"one\ntwotheirs\n"


@needs_strace
def test_a_full_disk_in_the_middle_of_a_line_takes_it_back(tmp_path):
    """The kernel took nothing of the second line: the log is as before, and takes further lines."""
    code = """
        import sys
        from pathlib import Path
        from runbook.storage.files import LineLog
        log = LineLog(Path(sys.argv[1]))
        log.append(b"one\\n")
        try:
            log.append(b"two\\n")
        except OSError as error:
            number = error.errno
        log.append(b"three\\n")
        raise SystemExit(number)
    """
    done = run(code, tmp_path / "log", before=traced("write:error=ENOSPC:when=2"))
    assert done.returncode == errno.ENOSPC, done.stderr
    assert (tmp_path / "log").read_bytes() == b"one\nthree\n"


def test_a_copied_tree_tells_its_bytes_and_keeps_times_and_modes(tmp_path):
    """In blocks; the copy is the same as without a hook; links are copied and not counted."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(b"x" * 2_500_000)
    (source / "link").symlink_to("large")
    (source / "large").chmod(0o640)
    os.utime(source / "large", (1_700_000_000, 1_700_000_000))
    counts = []
    files.copy_tree(source, tmp_path / "copy", copied=counts.append)
    assert sum(counts) == 2_500_000 == files.size_of_tree(source) and len(counts) == 3
    status = (tmp_path / "copy" / "large").stat()
    assert (status.st_mtime, status.st_mode & 0o777) == (1_700_000_000, 0o640)
    assert os.readlink(tmp_path / "copy" / "link") == "large"


def test_a_tree_with_a_pipe_is_refused_and_nothing_waits_for_it(tmp_path):
    """With a hook and without one."""
    source = tmp_path / "source"
    source.mkdir()
    os.mkfifo(source / "pipe")
    for copied in (None, lambda _: None):
        with pytest.raises(OSError, match="named pipe"):
            files.copy_tree(source, tmp_path / "copy", copied=copied)
    assert os.listdir(tmp_path) == ["source"]


def test_the_size_of_a_tree_leaves_out_what_the_copy_leaves_out(tmp_path):
    """And follows no link."""
    (tmp_path / "in" / "out").mkdir(parents=True)
    (tmp_path / "in" / "a").write_bytes(b"123")
    (tmp_path / "in" / "out" / "b").write_bytes(b"12345")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    assert files.size_of_tree(tmp_path / "in") == 8
    assert files.size_of_tree(tmp_path / "in", tmp_path / "in" / "out") == 3
    assert files.size_of_tree(tmp_path / "nowhere") == 0
