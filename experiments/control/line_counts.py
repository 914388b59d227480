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

_NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Lines(NamedTuple):
    """A program's length."""

    code: int  # lines on the screen that hold code
    logical: int  # the same however it is wrapped: the language's logical lines


def count(source: str) -> Lines:
    """Lines of Python source, docstrings, comments and blanks out."""
    docstrings = _docstring_lines(source)
    code: set[int] = set()
    logical = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.start[0] in docstrings:
            continue
        if token.type not in _NOT_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
        logical += token.type == tokenize.NEWLINE
    return Lines(len(code), logical)


def _docstring_lines(source: str) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node) is not None:
            text = node.body[0]
            assert text.end_lineno is not None
            lines.update(range(text.lineno, text.end_lineno + 1))
    return lines


def of_file(path: Path) -> Lines:
    """Lines of a whole program, imports included."""
    return count(path.read_text(encoding="utf-8"))


def of_definitions(path: Path, names: Sequence[str]) -> Lines:
    """Lines of some of a file's functions and classes, decorators included.

    Raises:
      LookupError: a name is not defined at the file's top level.
    """
    source = path.read_text(encoding="utf-8")
    nodes = {
        node.name: node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    missing = [name for name in names if name not in nodes]
    if missing:
        raise LookupError(f"{path.name} defines no {', '.join(missing)}")
    totals = [
        count(ast.get_source_segment(source, nodes[name]) or "") for name in names
    ]
    marks = sum(len(nodes[name].decorator_list) for name in names)
    return Lines(
        sum(total.code for total in totals) + marks,
        sum(total.logical for total in totals) + marks,
    )
