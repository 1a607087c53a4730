"""Looking after a base directory: what is wrong with it, what was deleted, and what takes up room for nothing."""
