"""Four networks on one test set."""
