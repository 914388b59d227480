"""Programs that show one network from the data to the result."""
