"""The disk: only this package opens, locks, renames and removes the files of a base directory.

- `annotation_log`: notes and tags that others add to an experiment
- `base_directory`: making a base directory, or refusing one with a reason
- `checksums`: checksums of saved files
- `current_record`: the record that is true at this moment
- `death`: the ending of a process that recorded none
- `experiment_folder`: the folder of one experiment and its record
- `files`: durable whole files, and logs of whole lines
- `history`: reading the live history
- `liveness`: whether a process still works on an experiment
- `meter`: progress of exports, imports and merges
- `metric_log`: writing the live history
- `process`: what identifies a process
- `progress`: how much of its work an experiment has done
- `run_lock`: the lock that a process holds while it works on an experiment
- `staging`: building a folder in private, and moving it into the base directory by one rename
"""

__all__ = [
    "annotation_log",
    "base_directory",
    "checksums",
    "current_record",
    "death",
    "experiment_folder",
    "files",
    "history",
    "liveness",
    "meter",
    "metric_log",
    "process",
    "progress",
    "run_lock",
    "staging",
]
