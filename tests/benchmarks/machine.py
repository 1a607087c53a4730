"""The machine that the numbers come from, as far as they depend on it."""

import os
import platform
import statistics
import subprocess
import time
from pathlib import Path


def describe(folder):
    """Processor, cores, memory, kernel, Python, the file system of `folder` and what an fsync costs on it."""
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "file system": _file_system(folder),
        "fsync of 2 kB to a new file": f"{fsync_ms(folder):.2f} ms (median of 100)",
    }


def fsync_ms(folder, times=100):
    """The median time that a small new file takes to be made durable, in milliseconds."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path, taken = folder / "fsync-probe", []
    for _ in range(times):
        begun = time.perf_counter()
        with path.open("wb", buffering=0) as file:
            file.write(bytes(2048))
            os.fsync(file.fileno())
        taken.append(1e3 * (time.perf_counter() - begun))
        path.unlink()
    return statistics.median(taken)


def load():
    """How busy the machine is: the load of the last minute."""
    return os.getloadavg()[0]


def _field(path, name):
    try:
        with open(path) as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith(name)), None)
    except OSError:
        return None


def _file_system(folder):
    try:
        done = subprocess.run(["df", "-PT", str(folder)], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[-1].split()[1]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"
