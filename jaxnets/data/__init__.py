"""Data: a dataset's name goes in, uint8 arrays come out.

`load` looks in this order: the decoded arrays kept from an earlier run, what
tensorflow-datasets has prepared, a folder with the four original files, the
network. Only the first needs neither TensorFlow nor seconds.
"""

from jaxnets.data.checks import NUM_CLASSES
from jaxnets.data.load import Dataset, first_examples, load
from jaxnets.data.stream import stream

__all__ = ["NUM_CLASSES", "Dataset", "first_examples", "load", "stream"]
