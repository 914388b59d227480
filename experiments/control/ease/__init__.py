"""One task as six programs."""
