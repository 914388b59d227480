"""Tables, figures and page of `experiments/control.py`."""
