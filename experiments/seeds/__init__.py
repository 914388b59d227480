"""Tables, figures and page of `experiments/seeds.py`."""
