"""What one run is worth: each network trained from many seeds."""
