"""Tables, figures and page of `experiments/benchmark.py`."""
