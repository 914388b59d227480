"""Data: a dataset's name goes in, uint8 arrays come out.

`load` looks in this order: the decoded arrays kept from an earlier run, what
tensorflow-datasets has prepared, a folder with the four original files, the
network. Only the first needs neither TensorFlow nor seconds. Data of one's own comes
from `from_arrays` or `load_folder`.
"""

from jaxnets.data.checks import NUM_CLASSES
from jaxnets.data.load import DIGITS, Dataset, first_examples, load
from jaxnets.data.own import from_arrays, load_folder
from jaxnets.data.stream import stream

__all__ = [
    "DIGITS",
    "NUM_CLASSES",
    "Dataset",
    "first_examples",
    "from_arrays",
    "load",
    "load_folder",
    "stream",
]
