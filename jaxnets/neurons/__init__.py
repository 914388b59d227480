"""Neurons, one at a time: what the networks of this package are made of.

Read in this order: `perceptron`, `gates`, `learning`, `convergence`, `sigmoid`,
`importance`, `ten_class`, `cascade`. `logic_check`, `small_changes`, `digit_pairs`,
`ten_class_runs` and `loops` put what is said of them to the test, for
`experiments/neurons.py`.

Source: Nielsen, "Neural Networks and Deep Learning", chapter 1.
"""
