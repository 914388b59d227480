"""Picture files: what is read, and what is refused."""

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from jaxnets.errors import InputError
from jaxnets.files import absolute

# Formats that are pixels alone. Pillow has others, such as EPS, that run a program.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "HEIF", "PPM")
MAX_PIXELS = 64_000_000  # a telephone's largest ordinary photograph has 50 million
_OF_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")  # brands


def read(file: str | os.PathLike[str]) -> Image.Image:
    """A picture as it is meant to be seen: upright, opaque, in mode "L" or "RGB".

    Transparent pixels become white, or black below light ink. Pillow reads HEIC where
    the package `pillow-heif` is installed.

    Raises:
      InputError: there is no such file, it is no picture or a damaged one, it moves, or
        it has more than MAX_PIXELS pixels, which are then not decoded.
    """
    path = absolute(file)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is no file to be read twice; save the picture as one")
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
        if head[4:8] == b"ftyp" and head[8:12] in _OF_HEIF:
            _require_heif(path)
        with warnings.catch_warnings():
            # Of more pixels than Pillow likes; the limit here is lower.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=_known_formats()) as image:
                _require_one_of_a_size(path, image)
                image.load()
                return _opaque(ImageOps.exif_transpose(image))
    except InputError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"there is no picture {path}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; name pictures in it") from None
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except Image.UnidentifiedImageError:
        known = "PNG, JPEG, GIF, BMP, TIFF, WebP, AVIF or HEIC"
        raise InputError(f"{path} is not a picture ({known})") from None
    except Image.DecompressionBombError:
        raise _too_large(path, "far more than") from None
    except Exception as error:  # Pillow raises a dozen kinds for damaged files
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"the picture {path} is damaged ({reason})") from error


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _require_heif(path: Path) -> None:
    """Register what reads HEIC, a format that Pillow leaves to another package."""
    try:
        import pillow_heif
    except ImportError:
        raise InputError(
            f"{path} is HEIC, which needs the package pillow-heif; install it, or save "
            "the picture as JPEG"
        ) from None
    pillow_heif.register_heif_opener()


def _require_one_of_a_size(path: Path, image: Image.Image) -> None:
    """Raise InputError for an animation, pages, or too many pixels."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(path, f"{width} by {height}, more than")
    count = getattr(image, "n_frames", 1)
    if count > 1 and image.format not in ("MPO", "HEIF"):  # which hold previews
        raise InputError(
            f"{path} has {count} frames or pages; save the one that is meant"
        )


def _too_large(path: Path, size: str) -> InputError:
    return InputError(
        f"{path} has {size} {MAX_PIXELS:,} pixels; crop it, or save it smaller"
    )


def _opaque(image: Image.Image) -> Image.Image:
    """In mode "L" or "RGB", without transparency and with 8 bits a channel."""
    if image.mode.startswith(("I", "F")):  # 16 or 32 bits of grey
        levels = np.asarray(image, np.float64)
        most = float(np.max(levels))
        largest = 65535 if most > 255 else 255 if most > 1 else 1
        return Image.fromarray(np.uint8(np.clip(levels * (255 / largest), 0, 255)))
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        alpha = layers.getchannel("A")
        seen = np.asarray(alpha, np.float32)
        light = np.asarray(layers.convert("L"), np.float32)
        ink = np.sum(light * seen) / max(np.sum(seen), 1)
        mostly_seen = np.mean(seen) > 127  # then what is seen has its own paper
        paper = "white" if ink < 128 or mostly_seen else "black"
        below = Image.new("RGBA", image.size, paper)
        return Image.alpha_composite(below, layers).convert("RGB")
    return (
        image if image.mode == "L" else image.convert("L" if _is_grey(image) else "RGB")
    )


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "LA")
