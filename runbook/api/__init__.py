"""What users call.

- `arguments`: the config and the arguments of a tracked call
- `catalog`: lists and searches of experiments, for the manager
- `decorator`: the wrapper around a tracked function
- `manager`: `ExperimentManager`
- `manual_runs`: `create_experiment` and `mark_complete`, for the manager
- `tracking`: `experiment`, `tracked`, `current_experiment`
"""

__all__ = ["manager", "tracking"]
