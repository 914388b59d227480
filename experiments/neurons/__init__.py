"""Tables, figures and page of `experiments/neurons.py`."""
