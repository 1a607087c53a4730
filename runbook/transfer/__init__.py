"""Experiments between base directories: export, import, merge."""
