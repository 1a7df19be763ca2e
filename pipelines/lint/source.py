"""Source: one file of a pipeline, read; and how a Finding about it is made."""

import ast
import warnings
from dataclasses import dataclass

from pipelines.lint.finding import Finding
from pipelines.lint.names import Names

SEGMENT_CHARS_MAX = 80
_BLOCKS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that could be parsed, and all of its nodes."""

    path: str
    text: str
    tree: ast.Module
    names: Names
    nodes: list[ast.AST]

    def finding(self, node: ast.AST, rule: str, message: str, fix: str) -> Finding:
        """About this node."""
        line = getattr(node, "lineno", 1)
        end_line = getattr(node, "end_lineno", None) or line
        end = self._column(end_line, getattr(node, "end_col_offset", 0) or 0)
        if isinstance(node, _BLOCKS):
            # Nobody wants a whole block underlined.
            end_line, end = line, len(self.text.split("\n")[line - 1].rstrip()) + 1
        return Finding(
            file=self.path,
            line=line,
            column=self._column(line, getattr(node, "col_offset", 0)),
            rule=rule,
            message=message,
            fix=fix,
            end_line=end_line,
            end_column=end,
        )

    def _column(self, line: int, offset: int) -> int:
        # Python counts bytes of UTF-8; a person, and an editor, counts characters.
        lines = self.text.split("\n")
        text = lines[line - 1] if line <= len(lines) else ""
        return len(text.encode()[:offset].decode("utf-8", "replace")) + 1

    def segment(self, node: ast.AST) -> str:
        """How it is written, on one line, which may be cut."""
        try:
            text = " ".join(ast.unparse(node).split())
        except RecursionError:
            return "this"
        return text if len(text) <= SEGMENT_CHARS_MAX else f"{text[: SEGMENT_CHARS_MAX - 1]}…"


def read(path: str, text: str) -> Source | Finding:
    """The parsed file, or why it cannot be."""
    try:
        with warnings.catch_warnings():
            # An escape that means nothing is the author's taste, and no mistake of a pipeline.
            warnings.simplefilter("ignore")
            tree = ast.parse(text, path)
            compile(text, path, "exec", dont_inherit=True)
            return Source(path, text, tree, Names(tree), list(ast.walk(tree)))
    except SyntaxError as error:
        return _of_syntax(path, text, error)
    except (ValueError, RecursionError, MemoryError) as error:
        what = str(error) or type(error).__name__
        fix = "take out what is no text of a program, or write it less nested"
        return Finding(path, 1, 1, "syntax-error", f"Python cannot read it: {what}", fix, 1, 1)


def _of_syntax(path: str, text: str, error: SyntaxError) -> Finding:
    lines = max(1, text.count("\n") + (not text.endswith("\n")))
    line = min(max(error.lineno or 1, 1), lines)
    column = max(error.offset or 1, 1)
    end_line = max(error.end_lineno or line, line)
    end_column = max(error.end_offset or column, 1)
    message = error.msg
    fix = "correct it here, or what is not closed in the lines above"
    return Finding(path, line, column, "syntax-error", message, fix, end_line, end_column)
