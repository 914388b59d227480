"""Tables, figures and page of `experiments/scaling.py`."""
