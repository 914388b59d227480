"""One network in several programs: compared step by step, its differences priced."""
