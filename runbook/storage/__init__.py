"""The disk: nothing else opens, locks, renames or removes a file of ours."""
