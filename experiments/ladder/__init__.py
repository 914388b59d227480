"""The experiment on what each step from a plain network upwards adds."""
