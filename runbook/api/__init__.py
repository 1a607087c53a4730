"""What users call.

- `manager`: `ExperimentManager`
- `tracking`: `experiment`, `tracked`, `current_experiment`
"""

__all__ = ["manager", "tracking"]
