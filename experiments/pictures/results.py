"""The numbers that follow from the rows, and nothing else."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.kit.run import Row
from experiments.kit.statistics import wilson_interval
from experiments.pictures.measure import VARIANTS

KINDS: dict[str, Callable[[Row], bool]] = {
    "dark ink on light paper": lambda row: row["is_dark"],
    "light ink on dark paper": lambda row: not row["is_dark"],
    "plain paper": lambda row: not row["is_lined"],
    "ruled or squared paper": lambda row: row["is_lined"],
    "in even light": lambda row: not row["is_shadowed"],
    "with a shadow": lambda row: row["is_shadowed"],
    "40 to 100 pixels": lambda row: row["size"] < 100,
    "100 to 250 pixels": lambda row: 100 <= row["size"] < 250,
    "250 to 600 pixels": lambda row: row["size"] >= 250,
}


def of_rows(rows: Sequence[Row]) -> dict[str, Any]:
    """The content of `results.json`."""
    clean = {row["model"]: row for row in rows if row["part"] == "clean"}
    pictures = [row for row in rows if row["part"] == "picture"]
    sheets = [row for row in rows if row["part"] == "sheet"]
    return {
        "num_pictures": len(pictures),
        "found_one": sum(row["found"] == 1 for row in pictures),
        "models": {
            name: of_model(name, row, pictures, sheets) for name, row in clean.items()
        },
        "sheets": {
            "count": len(sheets),
            "found_all": sum(row["found"] == len(row["labels"]) for row in sheets),
        },
    }


def of_model(
    name: str, clean: Row, pictures: Sequence[Row], sheets: Sequence[Row]
) -> dict[str, Any]:
    """One network: clean, by variant, by kind of picture, and on sheets."""
    accuracy = clean["correct"] / clean["seen"]
    same = share(name, "clean", pictures)
    by_variant = {
        variant: share(name, variant, [row for row in pictures if counts(variant, row)])
        for variant in VARIANTS
    }
    return {
        "test_accuracy": accuracy,
        "same_images": same,
        "variants": by_variant,
        "kinds": {
            kind: share(name, "prepared", list(filter(belongs, pictures)))
            for kind, belongs in KINDS.items()
        },
        "sheets_right": sum(row["answers"][name] == row["labels"] for row in sheets),
        "sheet_digits_right": sum(
            said == label
            for row in sheets
            if row["found"] == len(row["labels"])
            for said, label in zip(row["answers"][name], row["labels"], strict=True)
        ),
    }


def counts(variant: str, row: Row) -> bool:
    """Whether a picture shows what a variant does: light ink needs no inversion."""
    return variant != "paper" or row["is_dark"]


def share(name: str, variant: str, rows: Sequence[Row]) -> dict[str, Any]:
    """How many of the pictures are read right, with Wilson's interval.

    A picture in which more digits are found than the one, or none, is read wrong; not
    so by "raw", which looks for none, nor as the clean image.
    """
    right = sum(
        row["answers"][variant][name] == row["label"]
        and (variant in ("clean", "raw") or row["found"] == 1)
        for row in rows
    )
    seen = len(rows)
    return {
        "correct": right,
        "seen": seen,
        "accuracy": right / seen if seen else None,
        "interval_95": list(wilson_interval(right, seen)) if seen else None,
    }


def worst(rows: Sequence[Row], count: int) -> list[Mapping[str, Any]]:
    """Pictures that most networks miss though they know the clean image."""
    pictures = [row for row in rows if row["part"] == "picture"]

    def harm(row: Row) -> int:
        answers = row["answers"]
        return sum(
            answers["clean"][name] == row["label"]
            and (answer != row["label"] or row["found"] != 1)
            for name, answer in answers["prepared"].items()
        )

    ranked = sorted(pictures, key=harm, reverse=True)
    return [row for row in ranked[:count] if harm(row)]
