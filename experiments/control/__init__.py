"""Ease and control: six small programs, and looks inside a network."""
