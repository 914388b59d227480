"""Seven lessons, from one neuron to what a trained network is worth.

Each is an article and a program at once: read it in an editor, run it by
`python lessons/01_perceptrons.py`, or open its notebook in docs/lessons. The exercises
are answered in the file or notebook itself; `lessons.solutions` has the answers.
"""

import experiments  # noqa: F401  # keeps the working folder behind Python's own modules
