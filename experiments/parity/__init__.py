"""Tables, figures and page of `experiments/parity.py`."""
