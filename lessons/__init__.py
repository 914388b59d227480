"""Programs that show one network from the data to the result."""

import experiments  # noqa: F401  # keeps the working folder behind Python's own modules
