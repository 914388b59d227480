"""Test images worth drawing on: one of each class, and those that networks miss."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

GALLERY_SIZE = 16  # images of each kind of hard ones


class Group(NamedTuple):
    """Test images that the page shows side by side."""

    title: str
    note: str
    numbers: np.ndarray  # int [n], each image's place in the test set
    keys: bool = False  # whether a class's own key shows its image


def groups_of(
    labels: np.ndarray,
    answers: Mapping[str, np.ndarray],
    probabilities: Mapping[str, np.ndarray],
) -> list[Group]:
    """What the page shows of a test set.

    Args:
      labels: int [images].
      answers: int [images] of each network; of none there are examples only.
      probabilities: float [images] of each, those of its answers.
    """
    right = sum(
        (answer == labels for answer in answers.values()), np.zeros(len(labels))
    )
    groups = [
        Group(
            "Examples", "One test image of each class.", examples(right, labels), True
        )
    ]
    if answers:
        guesses, sure = (np.stack([*of.values()]) for of in (answers, probabilities))
        missed, divided = hardest(guesses, sure, labels)
        groups += [
            Group("The hardest", "Missed by most networks, most surely.", missed),
            Group("The most disputed", "Where answers differ most.", divided),
        ]
    return [group for group in groups if len(group.numbers)]


def examples(right: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of each class that occurs the first image that most networks get right."""
    scores = (np.where(labels == label, right, -1) for label in np.unique(labels))
    return np.array([np.argmax(score) for score in scores], int)


def hardest(
    answers: np.ndarray, sure: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The images that most networks miss most surely, and where answers differ most.

    Args:
      answers: int [networks, images], the classes that they answer.
      sure: float [networks, images], the probabilities of these.
      labels: int [images].

    Returns:
      Two arrays of indices without a common one, at most `GALLERY_SIZE` each. Of one
      network the second is empty.
    """
    is_wrong = answers != labels
    wrongly_sure = np.sum(sure * is_wrong, axis=0)
    missed = most(is_wrong.sum(axis=0), wrongly_sure, GALLERY_SIZE)
    variety = np.array([len(set(column)) for column in answers.T]) - 1
    variety[missed] = 0
    return missed, most(variety, wrongly_sure, GALLERY_SIZE)


def most(scores: np.ndarray, then: np.ndarray, count: int) -> np.ndarray:
    """Indices of the largest scores above 0; of equal ones the larger `then` first."""
    largest = np.lexsort((-then, -scores))[:count]
    return largest[scores[largest] > 0]
