"""Experiments to look at: one as a view, several as a list."""
