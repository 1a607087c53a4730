"""Calls of the command line in this process."""

from __future__ import annotations

import inspect

from click.testing import CliRunner


def cli_runner() -> CliRunner:
    """A runner whose results have the two streams apart, which up to click 8.1 takes a word."""
    is_old = "mix_stderr" in inspect.signature(CliRunner).parameters
    return CliRunner(mix_stderr=False) if is_old else CliRunner()  # type: ignore[call-arg]
