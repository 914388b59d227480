"""The programs that compare the networks, one folder each."""

import gc
import sys

# Imports make a million objects and hardly any garbage; looking for it as often as by
# default takes a fifth of a second of a program's start.
gc.set_threshold(100_000)

import jaxnets  # noqa: E402, F401  # that of this clone, whatever is installed

# `python -m`, whose name stands in `sys.argv` while it looks for the module, puts the
# working folder before Python's own modules: a file random.py in it would take the
# place of Python's. So that folder comes last.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    sys.path.append(sys.path.pop(0))
