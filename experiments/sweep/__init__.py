"""The experiment on learning rates and batch sizes, in one program each."""
