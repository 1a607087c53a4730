"""The environment of each system: an own one for each peer, made when it is first needed."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import systems


class Unavailable(Exception):
    """A system that is not there, or an operation that it does not have; the message says why."""


def driver_of(system):
    """The driver, to look at: importing it loads nothing of the system."""
    return importlib.import_module(f"systems.{system}")


class Environments:
    """The interpreters; of what does not install, the reason.

    Args:
        folder: where the virtual environments of the peers are.
    """

    def __init__(self, folder):
        self._folder = Path(folder).absolute()
        self._known = {}

    def python(self, system):
        """The interpreter that has the system installed."""
        if system in systems.OURS:
            return sys.executable
        if system not in self._known:
            self._known[system] = self._made(system)
        made = self._known[system]
        if isinstance(made, Unavailable):
            raise made
        return made

    def _made(self, system):
        folder = self._folder / system
        python, package = str(folder / "bin" / "python"), driver_of(system).PACKAGE
        if not (folder / "installed").exists():
            print(f"installing {package} into {folder}", flush=True)
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            done = subprocess.run([python, "-m", "pip", "install", "-q", package], capture_output=True, text=True)
            if done.returncode != 0:
                return Unavailable(f"does not install: {_first_error(done.stderr)}")
            (folder / "installed").touch()
        done = subprocess.run(
            [python, "-c", driver_of(system).IMPORT],
            capture_output=True,
            text=True,
            env={**os.environ, **driver_of(system).ENVIRONMENT},
        )
        if done.returncode != 0:
            return Unavailable(f"does not start: {_first_error(done.stderr)}")
        return python

    def version(self, system):
        """The version of a system; with the commit, for what is measured from a checkout."""
        if system in systems.OURS:
            return _runbook_version()
        package = driver_of(system).PACKAGE
        code = f"import importlib.metadata as m; print(m.version({package!r}))"
        done = subprocess.run([self.python(system), "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.strip()


def _runbook_version():
    """The version, the last commit that changed the code, and a digest of the code where that is not all of it."""
    import hashlib
    import importlib.metadata
    import importlib.util

    code = Path(importlib.util.find_spec("runbook").origin).parent
    parts = [importlib.metadata.version("runbook"), _git(code, "log", "-1", "--format=%h", "--", ".")]
    if not parts[1] or _git(code, "status", "--porcelain", "--", "."):
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(code.rglob("*.py")))).hexdigest()
        parts.append(f"code {digest[:8]}")
    return " ".join(part for part in parts if part)


def _git(folder, *arguments):
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def _first_error(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no reason given"])[-1][:160]
