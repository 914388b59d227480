"""Lines of code, counted by Python's own tokenizer and parser.

Blank lines, comments and docstrings do not count. All that is compared here is
formatted by the same program, at 88 columns.
"""

import ast
import io
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

LAYOUT = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}
WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Lines(NamedTuple):
    """A program's length."""

    lines: int  # on the screen, that hold code
    logical_lines: int  # however they are wrapped: the language's logical lines


def count(source: str) -> Lines:
    """Lines of Python source."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, WITH_DOCSTRING) and ast.get_docstring(node) is not None:
            text = node.body[0]
            docstrings.update(range(text.lineno, (text.end_lineno or 0) + 1))
    lines: set[int] = set()
    logical_lines = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.start[0] in docstrings:
            continue
        if token.type not in LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
        logical_lines += token.type == tokenize.NEWLINE
    return Lines(len(lines), logical_lines)


def count_definitions(path: Path, names: Sequence[str]) -> Lines:
    """Lines of some of a file's functions and classes, decorators included.

    Raises:
      LookupError: a name is not defined at the file's top level.
    """
    source = path.read_text(encoding="utf-8")
    rows = source.splitlines()
    definitions = {
        node.name: rows[_first_row(node) : node.end_lineno]
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    missing = [name for name in names if name not in definitions]
    if missing:
        raise LookupError(f"{path.name} defines no {', '.join(missing)}")
    return count("\n".join(row for name in names for row in definitions[name]))


def _first_row(node: ast.FunctionDef | ast.ClassDef) -> int:
    return min(part.lineno for part in (node, *node.decorator_list)) - 1
