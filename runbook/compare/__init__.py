"""Experiments side by side, and groups of them with statistics."""
