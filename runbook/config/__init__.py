"""A config object as JSON-compatible data: its hash, its `save_dir`, its secrets, and its difference from others."""
