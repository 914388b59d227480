"""One task as six programs: python experiments/control/ease/<name>.py data.npz

The file holds training images and labels, test images and labels, in this order, as
jaxnets/mnist-*.npz does in the folder of tensorflow-datasets after a run.
"""
