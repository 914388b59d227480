"""How long each way to train takes. A contender's process imports this, and no more."""
