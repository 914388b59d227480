"""The programs that compare the networks, one folder each."""

import sys

import jaxnets  # noqa: F401  # that of this clone, whatever is installed

# `python -m`, whose name stands in `sys.argv` while it looks for the module, puts the
# working folder before Python's own modules: a file random.py in it would take the
# place of Python's. So that folder comes last.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    sys.path.append(sys.path.pop(0))
