"""The programs that compare the networks, one folder each."""
