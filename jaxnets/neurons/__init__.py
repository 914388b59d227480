"""Neurons, one at a time: what the networks of this package are made of.

Read in this order: `perceptron`, `gates`, `learning`, `sigmoid`, `ten_class`,
`cascade`. Source: Nielsen, "Neural Networks and Deep Learning", chapter 1.
"""

from jaxnets.neurons import cascade, gates, learning, perceptron, sigmoid, ten_class

__all__ = ["cascade", "gates", "learning", "perceptron", "sigmoid", "ten_class"]
