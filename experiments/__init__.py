"""The programs that compare the networks, one folder each."""

import os
import sys

import jaxnets  # noqa: F401  # that of this clone, whatever is installed

# `python -m` puts the working folder before Python's own modules: a file random.py
# in it would take the place of Python's. So it comes last.
if sys.path[0] == os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
    sys.path.append(sys.path.pop(0))
