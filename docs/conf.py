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
        "automodule_options": {"members", "undoc-members"},
    }
]
# Without what a package passes on: it is documented where it is defined.
autodoc_default_options = {"ignore-module-all": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"


def setup(app):
    """Docstrings have indented code, Markdown's tables, and bars for sizes."""
    app.connect("autodoc-process-docstring", as_rest, priority=600)  # after napoleon


def as_rest(_app, _what, _name, _object, _options, lines):
    """Code and tables become literal blocks, bars stand for themselves."""
    rest, literal = [], False
    for line in lines:
        before = next((text for text in reversed(rest) if text), "")
        is_table = line.startswith("|")
        is_code = line.startswith("    ") and not before.startswith((" ", ":", ".."))
        starts = (is_table or (is_code and rest and not rest[-1])) and not literal
        if starts:
            rest += ["", "::", ""]
        literal = starts or (literal and (is_table or not line or line[:4] == "    "))
        if literal:
            rest.append(f"    {line}" if is_table else line)
        else:
            rest += [""] * (bool(line) and before.startswith("    |"))
            rest.append(line.replace("|", r"\|"))
    lines[:] = rest
