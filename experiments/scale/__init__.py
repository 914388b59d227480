"""When more devices pay: a model of a training step, and what this machine measures."""
