"""The environment that is captured of the process and its machine, and the problems where it cannot be."""

from __future__ import annotations

import getpass
import json
import os
import platform
import socket
import subprocess
import sys
import textwrap
import threading
import types
from pathlib import Path

import pytest

from runbook.capture import environment
from runbook.capture.environment import capture
from runbook.capture.git import Answer
from runbook.config.redaction import is_secret_name
from runbook.record.model import GitState

PACKAGE_PARENT = Path(environment.__file__).parents[2]


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """Each test captures anew."""
    monkeypatch.setattr(environment, "_kept", None)


@pytest.fixture
def _no_repository(monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)


def run_script(script: str, *arguments: str | bytes, **options) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"PYTHONPATH": str(PACKAGE_PARENT)} | options.pop("env", {})
    return subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c",
         textwrap.dedent(script), *arguments],
        env=variables, capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip


# The process and its machine


@pytest.mark.usefixtures("_no_repository")
def test_names_the_interpreter_and_the_machine(tmp_path):
    """Interpreter, machine, user and folder are those that the standard library names."""
    found = capture().environment

    assert found.python == platform.python_version()
    assert found.implementation == platform.python_implementation()
    assert found.executable == sys.executable
    assert found.platform.partition("-with-")[0] == platform.platform().partition("-with-")[0]
    assert found.host == socket.gethostname()
    assert found.user == getpass.getuser()
    assert found.cpu_count == os.cpu_count()
    assert found.pid == os.getpid()
    assert found.working_directory == str(tmp_path)
    assert found.git is None
    assert found.problems == ()


@pytest.mark.skipif(sys.platform != "linux", reason="libc is named on Linux")
def test_without_a_name_for_libc(monkeypatch):
    """A system that does not name its libc, as with musl, is named without it."""
    monkeypatch.setattr(os, "confstr", lambda name: (_ for _ in ()).throw(ValueError(name)), raising=False)

    assert capture().environment.platform == platform.platform().partition("-with-")[0]


def test_user_without_a_name(monkeypatch):
    """In a container without an entry for the user, the user is None and the problem says why."""
    monkeypatch.setattr(getpass, "getuser", lambda: {}["uid 1234"])

    found = capture().environment

    assert found.user is None
    assert any(problem.startswith("user: KeyError") for problem in found.problems)


@pytest.mark.parametrize(
    "target",
    [(environment, "host_name"), (getpass, "getuser"), (platform, "python_implementation")],
    ids=lambda target: target[1],
)
def test_nothing_that_fails_is_raised(monkeypatch, target):
    """A fact that cannot be found is a problem with a name; the rest is captured all the same."""

    def fail(*_):
        raise OSError("out of order")

    monkeypatch.setattr(*target, fail, raising=False)

    found = capture().environment

    assert [problem for problem in found.problems if problem.endswith("OSError: out of order")]
    assert found.packages


def test_an_error_that_cannot_be_shown(monkeypatch):
    """An error whose own text fails is a problem like any other."""

    class UnprintableError(Exception):
        def __str__(self):
            raise RuntimeError

    def fail():
        raise UnprintableError

    monkeypatch.setattr(getpass, "getuser", fail)

    assert any("UnprintableError" in problem for problem in capture().environment.problems)


@pytest.mark.skipif(os.name != "posix", reason="the system does not let a used folder be deleted")
def test_deleted_working_directory(tmp_path):
    """In a folder that was deleted there is no working directory and no repository, and that is a problem."""
    script = """
        import os, json, sys
        os.mkdir("gone"); os.chdir("gone"); os.rmdir("../gone")
        from runbook.capture.environment import capture
        found = capture().environment
        print(json.dumps([found.working_directory, found.git, found.problems, found.pid == os.getpid()]))
    """
    done = run_script(script, cwd=tmp_path)
    directory, git, problems, right_pid = json.loads(done.stdout)
    assert (directory, git, right_pid, done.stderr) == (None, None, True, "")
    assert problems[0].startswith("working_directory: FileNotFoundError")


@pytest.mark.skipif(sys.platform in {"darwin", "win32"}, reason="command lines and names are UTF-8 there")
def test_stray_bytes_become_escapes(tmp_path):
    """Command line, variables and paths that are no UTF-8 are kept in a form that UTF-8 can write."""
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    script = """
        import sys
        from runbook.capture.environment import capture
        found = capture().environment
        repr(found).encode()
        for text in (*found.argv[1:], found.working_directory, found.variables["SLURM_JOB_NAME"]): print(text)
    """
    done = run_script(script, b"--name=\xff", cwd=folder, env={"SLURM_JOB_NAME": os.fsdecode(b"\xfe")})
    assert done.stderr == ""
    assert done.stdout.split("\n")[:-1] == ["--name=\\udcff", f"{tmp_path}/caf\\udce9", "\\udcfe"]


# Command line and variables


def test_variables_are_kept_by_a_list(monkeypatch):
    """Only variables on the list are kept."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("WANDB_API_KEY", "0123456789")
    monkeypatch.delenv("RANK", raising=False)

    found = capture().environment.variables

    assert found["SLURM_JOB_ID"] == "17"
    assert "RANK" not in found
    assert set(found) <= set(environment.VARIABLES)


def test_the_list_holds_no_secret():
    """No variable on the list has a name that promises a secret."""
    assert not [name for name in environment.VARIABLES if is_secret_name(name)]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["train.py", "--lr", "0.1"], ["train.py", "--lr", "0.1"]),
        (["--api-key=abc"], ["--api-key=<redacted>"]),
        (["--api_key", "abc", "x"], ["--api_key", "<redacted>", "x"]),
        (["--token", "--fast"], ["--token", "--fast"]),
        (["wandb.api_key=abc"], ["wandb.api_key=<redacted>"]),
        (["+hub.token=abc", "PASSWORD=x"], ["+hub.token=<redacted>", "PASSWORD=<redacted>"]),
        (["--max_tokens=5", "--tokenizer", "bert"], ["--max_tokens=5", "--tokenizer", "bert"]),
        (["--pad_token=<pad>", "model.mask_token=[M]"], ["--pad_token=<pad>", "model.mask_token=[M]"]),
        (["--key=sk-abcdefghijklmnop1234"], ["--key=<redacted>"]),
        (["hf_abcdefghijklmnop1234"], ["<redacted>"]),
        (["ghp_abcdefghijklmnop1234"], ["<redacted>"]),
        (["AKIAABCDEFGHIJKLMNOP"], ["<redacted>"]),
        (["task-abcdefghijklmnopqrstuvw"], ["task-abcdefghijklmnopqrstuvw"]),
        (["--db=postgres://me:pw@host/x"], ["--db=postgres://<redacted>@host/x"]),
        (["https://host/a@b"], ["https://host/a@b"]),
    ],
)
def test_command_line_without_secrets(monkeypatch, given, kept):
    """Secrets on the command line are replaced, and nothing that only resembles one."""
    monkeypatch.setattr(sys, "argv", given)

    assert capture().environment.argv == tuple(kept)


@pytest.mark.parametrize("argv", [None, ["x", Path("y"), 3]])
def test_odd_command_lines(monkeypatch, argv):
    """An embedded interpreter without a command line, or one with other objects, is no obstacle."""
    if argv is None:
        monkeypatch.delattr(sys, "argv")
    else:
        monkeypatch.setattr(sys, "argv", argv)

    assert capture().environment.argv == (() if argv is None else ("x", "y", "3"))


# Packages


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Make a folder on `sys.path` with the given metadata folders in it; later ones come later."""
    monkeypatch.setattr(sys, "path", [])

    def make(*names: str) -> Path:
        folder = tmp_path / f"site{len(sys.path)}"
        for name in names:
            (folder / name).mkdir(parents=True)
        sys.path.append(str(folder))
        return folder

    return make


def test_packages_of_this_interpreter():
    """The packages are those that importlib.metadata finds."""
    from importlib.metadata import distributions

    expected = {environment._parse_package(f"{it.name}-{it.version}.dist-info") for it in distributions()}
    assert set(capture().environment.packages.items()) <= expected
    assert "pytest" in capture().environment.packages


def test_packages_are_normalised_and_sorted(shelf):
    """Names are normalised as in PEP 503, and sorted."""
    shelf("Zope.Interface-6.0.dist-info", "ruamel_yaml-0.18.dist-info", "a__b.-c-1.dist-info", "other.py")

    assert list(capture().environment.packages.items()) == [
        ("a-b-c", "1"),
        ("ruamel-yaml", "0.18"),
        ("zope-interface", "6.0"),
    ]


def test_first_package_on_the_path_wins(shelf):
    """Of two installed versions the one that an import finds is named."""
    shelf("numpy-2.0.dist-info")
    shelf("NumPy-1.0.dist-info")

    assert capture().environment.packages == {"numpy": "2.0"}


def test_egg_info(shelf):
    """The older kind of metadata is understood; without a version a later one with a version is taken."""
    shelf("foo_bar-1.0.post1-py3.11-linux-x86_64.egg-info", "mine.egg-info", "only.egg-info")
    shelf("mine-3.dist-info", "foo_bar-0.9-py3.11.egg-info")

    assert capture().environment.packages == {"foo-bar": "1.0.post1", "mine": "3", "only": ""}


def test_remains_of_an_interrupted_pip(shelf):
    """A folder that an interrupted pip left behind is no installed package."""
    shelf("~umpy-1.0.dist-info", "~.dist-info", ".dist-info", "-1.0.dist-info")

    assert capture().environment.packages == {}


def test_entries_that_are_no_folder(shelf, tmp_path):
    """Missing folders, archives and objects on `sys.path` are ignored."""
    folder = shelf("a-1.dist-info")
    (tmp_path / "lib.zip").write_bytes(b"PK\5\6" + bytes(18))
    sys.path[:0] = [str(tmp_path / "missing"), str(tmp_path / "lib.zip"), "a\0b", None, 3.5]

    found = capture().environment

    assert found.packages == {"a": "1"}
    assert not [problem for problem in found.problems if "packages" in problem]
    assert folder.exists()


def test_empty_entry_is_the_current_directory(shelf, monkeypatch):
    """An empty entry on `sys.path` stands for the current directory."""
    monkeypatch.chdir(shelf("here-1.dist-info"))
    sys.path[:] = [""]

    assert capture().environment.packages == {"here": "1"}


# GPUs


class Cuda:
    """Stands in for torch.cuda; it notes each call, and all but `is_initialized` initialise the real one."""

    def __init__(self, *, initialized):
        self.initialized = initialized
        self.calls = []

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append(name)
            return {
                "is_initialized": lambda: self.initialized,
                "device_count": lambda: 2,
                "get_device_name": lambda index: f"Fast {index}",
            }[name](*arguments)

        return call


@pytest.fixture
def torch(monkeypatch, tmp_path):
    """Put a stand-in for torch in its place."""
    monkeypatch.setattr(environment, "_NVIDIA", tmp_path / "gpus")

    def install(*, initialized=False, mps=False):
        module = types.ModuleType("torch")
        module.cuda = Cuda(initialized=initialized)
        module.backends = types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: mps))
        monkeypatch.setitem(sys.modules, "torch", module)
        return module

    return install


def add_nvidia(tmp_path: Path, number: int, model: str) -> None:
    folder = tmp_path / f"gpus/0000:0{number}:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 1\nGPU UUID: \t GPU-1\n")


def test_torch_is_not_imported():
    """torch is not imported where the program has not imported it."""
    script = """
        import sys
        from runbook.capture.environment import capture
        print(capture().environment.gpus, "torch" in sys.modules)
    """
    done = run_script(script)
    assert (done.stdout, done.stderr) == ("() False\n", "")


def test_gpus_without_initialising_cuda(torch, tmp_path):
    """Before CUDA is initialised the driver's files name the GPUs, and no call initialises CUDA."""
    stand_in = torch(initialized=False)
    add_nvidia(tmp_path, 1, "NVIDIA A100-SXM4-80GB")
    add_nvidia(tmp_path, 2, "NVIDIA H100")

    assert capture().environment.gpus == ("NVIDIA A100-SXM4-80GB", "NVIDIA H100")
    assert stand_in.cuda.calls == ["is_initialized"]


def test_gpus_of_initialised_cuda(torch, tmp_path):
    """Once CUDA is initialised it names the devices that this process may use."""
    torch(initialized=True)
    add_nvidia(tmp_path, 1, "NVIDIA A100")

    assert capture().environment.gpus == ("Fast 0", "Fast 1")


def test_gpu_of_a_mac(torch):
    """Without an NVIDIA card, Apple's own is named where torch can use it."""
    stand_in = torch(mps=True)

    assert capture().environment.gpus == ("Apple MPS",)
    assert stand_in.cuda.calls == ["is_initialized"]


def test_no_gpu(torch):
    """A machine without a GPU has none, and that is no problem."""
    torch()

    found = capture().environment

    assert found.gpus == ()
    assert not [problem for problem in found.problems if "gpus" in problem]


def test_torch_that_is_half_imported(monkeypatch):
    """A torch whose import is not finished is a problem with the GPUs, and no more."""
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))

    found = capture().environment

    assert found.gpus == ()
    assert any(problem.startswith("gpus: AttributeError") for problem in found.problems)


# Once a process


class FakeInquiry:
    """Stands in for git; it counts the calls."""

    asked = 0
    reply = Answer(GitState(commit="c0ffee", dirty=True), b"patch", ("git: caf\udce9",))

    def __enter__(self):
        type(self).asked += 1
        return self

    def __exit__(self, *_):
        pass

    def answer(self):
        return self.reply


@pytest.fixture
def inquiry(monkeypatch):
    monkeypatch.setattr(environment, "Inquiry", FakeInquiry)
    monkeypatch.setattr(FakeInquiry, "asked", 0)
    return FakeInquiry


def test_answer_of_git_is_in_the_capture(inquiry):
    """State, patch and problems of git are those of the capture."""
    found = capture()

    assert (found.environment.git, found.patch) == (inquiry.reply.state, b"patch")
    assert "git: caf\\udce9" in found.environment.problems


def test_an_error_of_git_is_a_problem(inquiry, monkeypatch):
    """An unforeseen error where git answers costs no more than that answer."""

    def fail(self):
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(inquiry, "answer", fail)

    found = capture()

    assert (found.environment.git, found.patch) == (None, None)
    assert "git: RuntimeError: unforeseen" in found.environment.problems


def test_captures_once(inquiry):
    """The second call runs no git again and returns the same."""
    assert capture() == capture()
    assert inquiry.asked == 1


def test_threads_share_one_capture(inquiry):
    """Threads that capture at the same time share one result, and none gets a part of it."""
    barrier, found = threading.Barrier(8), []

    def ask():
        barrier.wait()
        found.append(capture())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert inquiry.asked == 1
    assert len(found) == 8
    assert all(each == found[0] for each in found)


def test_interrupted_capture_is_made_again(inquiry, monkeypatch):
    """A KeyboardInterrupt passes through, and the next call collects everything again."""

    def interrupt():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(getpass, "getuser", interrupt)
        with pytest.raises(KeyboardInterrupt):
            capture()

    assert capture().environment.git == inquiry.reply.state


def test_command_line_and_variables_are_of_the_moment(inquiry, monkeypatch):
    """A later call has the command line and the variables of that moment."""
    capture()
    monkeypatch.setattr(sys, "argv", ["later.py"])
    monkeypatch.setenv("RANK", "3")

    found = capture().environment

    assert found.argv == ("later.py",)
    assert found.variables["RANK"] == "3"
    assert inquiry.asked == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_forked_child_has_its_own_pid():
    """A forked child has its own process id and command line, and reuses the rest."""
    script = """
        import os, sys
        from runbook.capture.environment import capture
        first = capture()
        pid = os.fork()
        if not pid:
            sys.argv = ["child"]
            from runbook.capture import environment
            environment.Inquiry = None
            found = capture()
            same = found.environment.packages == first.environment.packages and found.patch == first.patch
            os._exit(0 if (found.environment.pid, found.environment.argv, same) == (os.getpid(), ("child",), True) else 1)
        print(os.waitpid(pid, 0)[1], capture().environment.pid == os.getpid())
    """
    done = run_script(script)
    assert (done.stdout, done.stderr) == ("0 True\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_fork_while_another_thread_captures():
    """A child that was forked while a thread of its parent captured does not wait for that thread."""
    script = """
        import getpass, os, signal, threading
        from runbook.capture.environment import capture
        reached, go_on, original = threading.Event(), threading.Event(), getpass.getuser
        def wait():
            reached.set(); go_on.wait(); return original()
        getpass.getuser = wait
        thread = threading.Thread(target=capture)
        thread.start()
        reached.wait()
        getpass.getuser = original
        pid = os.fork()
        if not pid:
            signal.alarm(20)
            os._exit(0 if capture().environment.pid == os.getpid() else 1)
        print(os.waitpid(pid, 0)[1])
        go_on.set()
        thread.join()
    """
    done = run_script(script)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_signal_handler_may_capture(inquiry, monkeypatch):
    """A signal handler that captures while the main thread does so is not a deadlock."""
    original, inner = getpass.getuser, []

    def interrupted():
        getpass.getuser = original
        inner.append(capture())
        return original()

    monkeypatch.setattr(getpass, "getuser", interrupted)

    assert capture().environment == inner[0].environment


def test_import_is_light_and_capture_prints_nothing():
    """Importing the module loads nothing heavy, and a capture prints nothing and leaves no thread."""
    script = """
        import sys, attrs
        before = set(sys.modules)
        import runbook.capture.environment
        new = set(sys.modules) - before
        assert not new & {"subprocess", "getpass", "socket", "queue", "platform", "importlib.metadata"}, new
        runbook.capture.environment.capture()
        import threading
        assert threading.active_count() == 1
    """
    done = run_script(script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
