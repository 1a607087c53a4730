"""Facts beside the config.

- `environment`: interpreter, packages, git, command line, machine
"""

__all__ = ["environment"]
