"""The experiment on single neurons and nets of them."""
