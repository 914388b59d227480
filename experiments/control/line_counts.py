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

LAYOUT = ("COMMENT", "NL", "NEWLINE", "INDENT", "DEDENT", "ENDMARKER")
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
        if token.start[0] not in docstrings:
            logical_lines += token.type == tokenize.NEWLINE
            if tokenize.tok_name[token.type] not in LAYOUT:
                lines.update(range(token.start[0], token.end[0] + 1))
    return Lines(len(lines), logical_lines)


def count_definitions(path: Path, names: Sequence[str]) -> Lines:
    """Lines of functions and classes at a file's top level, decorators included.

    Raises:
      KeyError: a name is not defined there.
    """
    source = path.read_text(encoding="utf-8")
    definitions = {
        node.name: "\n".join(map(ast.unparse, node.decorator_list))
        + "\n"
        + (ast.get_source_segment(source, node) or "")
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    return count("\n".join(definitions[name] for name in names))
