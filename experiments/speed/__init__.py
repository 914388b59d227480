"""How long each way to train takes."""
