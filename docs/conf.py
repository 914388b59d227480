"""Sphinx: the documentation, and an API page made from the docstrings.

    pip install -e '.[docs]' && sphinx-build -W docs build/docs

A warning, such as a link that leads nowhere, is an error by -W.
"""

from jaxnets import __version__

project = "jaxnets"
release = __version__
html_title = f"jaxnets {release}"
extensions = [
    "myst_nb",  # Markdown, and the lessons with the outputs that they have
    "sphinx.ext.apidoc",  # a page for each module, in api/
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["api/modules.rst"]
nitpicky = False  # JAX's and NumPy's types are documented elsewhere
default_role = "literal"

myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"

apidoc_modules = [
    {
        "path": "../jaxnets",
        "destination": "api",
        "separate_modules": True,
        "module_first": True,
        "include_private": False,
        # Without what a package passes on: it is documented where it is defined.
        "automodule_options": {"members", "undoc-members", "ignore-module-all"},
    }
]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"


def setup(app):
    """Bars in docstrings are absolute values and tables, not substitutions."""

    def escape_bars(_app, _what, _name, _object, _options, lines):
        lines[:] = [line.replace("|", r"\|") for line in lines]

    app.connect("autodoc-process-docstring", escape_bars)
