"""Lesson 1, perceptrons."""

# Any positive weights do whose bias is negative, and smaller than each of them.
OR_NEURON = ([2, 2], -1)


def xor(nand, first, second):
    """The first NAND is asked three times: it is 0 where both inputs are 1."""
    not_both = nand(first, second)
    return nand(nand(first, not_both), nand(second, not_both))


# Pass 1: 1,1 is missed, so that 0 0 0 becomes 1 1 1 (two weights, bias).
# Pass 2: 0,0 fires, so the bias falls: 1 1 0. 0,1 fires: 1 0 -1. 1,0 is right, with a
# sum of 0. 1,1 has a sum of 0 and is missed: 2 1 0. It takes some passes more.
AND_AFTER_TWO_PASSES = ([2, 1], 0)

SOLUTIONS = {"1.1": OR_NEURON, "1.2": xor, "1.3": AND_AFTER_TWO_PASSES}
