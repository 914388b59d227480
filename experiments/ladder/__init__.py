"""The experiment on what each step towards 99.5 % adds."""
