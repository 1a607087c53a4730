"""The disk: nothing else opens, locks, renames or removes a file of ours.

- `annotation_log`: notes and tags from outside
- `base_directory`: made, or refused with a reason
- `checksums`: of saved files
- `current_record`: the record that is true at this moment
- `death`: the ending of a process that recorded none
- `experiment_folder`: the folder of one experiment and its record
- `files`: writing that survives
- `history`: reading the live history
- `liveness`: whether a process still works on an experiment
- `meter`: progress of long work
- `metric_log`: writing the live history
- `process`: what identifies a process
- `progress`: how far an experiment has come
- `run_lock`: held while an experiment runs
- `staging`: folders that come and go whole
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
