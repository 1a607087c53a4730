"""A config object as plain settings: its hash, its `save_dir`, its secrets, and how it differs from others."""
