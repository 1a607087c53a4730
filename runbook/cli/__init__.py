"""The command line."""

from runbook.cli.verbs import main

__all__ = ["main"]
