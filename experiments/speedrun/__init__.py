"""The experiment on time to accuracy."""
