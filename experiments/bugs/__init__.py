"""Tables, figures and page of `experiments/bugs.py`."""
