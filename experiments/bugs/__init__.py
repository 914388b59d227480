"""The experiment on likely mistakes."""
