"""What all experiments share: options, the run and its folder, page, command line."""
