"""The experiment on learning rates, scales of the input, and starts."""
