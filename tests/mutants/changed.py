"""Find the functions that a change touches."""

import ast
import re
import subprocess
from collections.abc import Iterable
from typing import Final

from tests.mutants.groups import ROOT, Group

_HUNK: Final = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.MULTILINE)

Place = tuple[str, str]
"""A module's path and a function's name; methods are prefixed with their class."""


def functions(group: Group, since: str) -> set[Place]:
    """The functions of a group's modules with lines added or changed since the commit."""
    places: set[Place] = set()
    for module in group.files:
        lines = _lines(module, since)
        tree = ast.parse((ROOT / module).read_bytes())
        places |= {(module, name) for name, node in _definitions(tree) if lines & _span(node)}
    return places


def patterns(places: Iterable[Place]) -> list[str]:
    """Name patterns of mutmut for the mutants of these functions."""
    names = []
    for module, name in sorted(places):
        owner, _, function = name.rpartition(".")
        mangled = f"xǁ{owner}ǁ{function}" if owner else f"x_{function}"
        names.append(f"{module.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}.{mangled}__mutmut_*")
    return names


def _lines(module: str, since: str) -> set[int]:
    command = ["git", "diff", "--unified=0", since, "--", module]
    diff = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {line for start, length in _HUNK.findall(diff) for line in range(int(start), int(start) + int(length or 1))}


def _definitions(tree: ast.Module) -> Iterable[tuple[str, ast.AST]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            methods = (inner for inner in node.body if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef))
            yield from ((f"{node.name}.{method.name}", method) for method in methods)


def _span(node: ast.AST) -> set[int]:
    return set(range(getattr(node, "lineno", 0), (getattr(node, "end_lineno", 0) or 0) + 1))
