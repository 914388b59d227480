"""The images of the lessons: MNIST, or said loudly something else."""

import os

from jaxnets import data
from jaxnets.data import Dataset

VARIABLE = "JAXNETS_LESSONS_DATASET"  # a name that `jaxnets.data.load` knows


def load() -> Dataset:
    """MNIST, or scikit-learn's digits where MNIST cannot be had.

    The environment variable JAXNETS_LESSONS_DATASET names another dataset. Prints
    what was loaded; raises as `jaxnets.data.load`.
    """
    dataset = data.load(os.environ.get(VARIABLE) or None)
    if dataset.name != "mnist":
        print("=" * 80)
        print(f"NOT MNIST: this lesson runs on {dataset.name}, and its numbers are of")
        print("other images than the text means.")
        if dataset.notice:
            print(dataset.notice)
        print("=" * 80)
    sizes = [len(part.label) for part in (dataset.train, dataset.validation)]
    print(
        f"{dataset.name}: {sizes[0]:,} images to train on, {sizes[1]:,} to validate, "
        f"{len(dataset.test.label):,} to test."
    )
    return dataset
