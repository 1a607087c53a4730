"""Facts beside the config: the environment and the state of the code."""
