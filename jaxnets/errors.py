"""Errors that a user can mend: each message names the value and the remedy."""


class InputError(ValueError):
    """Bad input, found on the host before any work is done."""


class DatasetUnavailable(InputError):
    """The dataset is neither prepared, nor in a folder, nor to be downloaded."""


class NonFiniteLoss(FloatingPointError):
    """Training diverged: the mean loss of an epoch is NaN or infinite."""


class ProcessFailed(RuntimeError):
    """A process of its own ended with an error; the message holds its output."""
