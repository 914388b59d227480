"""Pictures as people have them, made into images as MNIST has them.

    glyphs = picture.find(picture.read("photo.jpg"))
    images = np.stack([glyph.image for glyph in glyphs])

MNIST's own preparation, as its authors describe it: a digit is fitted into 20 by 20
pixels keeping its proportions, its grey levels come from antialiasing, and its centre
of mass is moved to the middle of 28 by 28 pixels. Ink is 255, paper 0. A picture
without this preparation is one that no network trained on MNIST has ever seen.
"""

from jaxnets.picture.files import read
from jaxnets.picture.find import Box, Glyph, find
from jaxnets.picture.prepare import prepare

__all__ = ["Box", "Glyph", "find", "prepare", "read"]
