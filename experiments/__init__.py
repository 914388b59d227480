"""The programs that compare the networks, one folder each."""

import gc
import sys

# The name of `python -m` stands in `sys.argv` while it looks for the module.
if sys.argv[:1] == ["-m"]:
    gc.disable()  # imports make much, and no garbage; `run_command` enables it

import jaxnets  # noqa: F401  # that of this clone, whatever is installed

# `python -m` puts the working folder before Python's own modules: a file random.py in
# it would take the place of Python's. So that folder comes last.
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    sys.path.append(sys.path.pop(0))
