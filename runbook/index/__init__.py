"""The index of all experiments of a base directory."""
