"""This package's modules as text: what each defines and imports, and what a piece of its source refers to.

It knows as much of Python as these modules use: functions, classes, assignments and imports at the top.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import ganhub

PACKAGE = Path(ganhub.__file__).parent
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
Edit = tuple[int, int, int, str]  # line, first and last column in bytes, what stands there instead


class Part(NamedTuple):
    """A name at the top of a module of ours."""

    module: str
    name: str


class Module:
    """The source of a module: its definitions, what it imports of ours, and what of others."""

    def __init__(self, name: str):
        path = PACKAGE.joinpath(*name.split(".")[1:])
        self.name = name
        self.text = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
        self.lines = self.text.encode().split(b"\n")
        tree = ast.parse(self.text)
        self.docstring = ast.get_docstring(tree) or ""
        self.definitions: dict[str, Definition] = {}
        self.modules: dict[str, str] = {}  # base -> ganhub.models.base
        self.parts: dict[str, Part] = {}  # need_labels -> (ganhub.models.base, need_labels)
        self.imports: dict[str, str] = {}  # nn -> from torch import nn
        for node in tree.body:
            self.read(node)

    def read(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.imports[alias.asname or alias.name.partition(".")[0]] = f"import {spell(alias)}"
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                self.read_import(str(node.module), alias)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            self.definitions[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                self.definitions[ast.unparse(target)] = node

    def read_import(self, module: str, alias: ast.alias) -> None:
        known, full = alias.asname or alias.name, f"{module}.{alias.name}"
        if module.partition(".")[0] != "ganhub":
            self.imports[known] = f"from {module} import {spell(alias)}"
        elif PACKAGE.joinpath(*full.split(".")[1:]).with_suffix(".py").is_file():
            self.modules[known] = full
        else:
            self.parts[known] = Part(module, alias.name)

    def excerpt(self, start: int, end: int, edits: Iterable[Edit]) -> str:
        """Lines `start` to `end`, edited."""
        lines = {number: self.lines[number - 1] for number in range(start, end + 1)}
        for line, first, last, name in sorted(edits, reverse=True):
            if line in lines:
                lines[line] = lines[line][:first] + name.encode() + lines[line][last:]
        return b"\n".join(lines.values()).decode()

    def find(self, node: ast.Name | ast.Attribute, local: frozenset[str]) -> Part | None:
        """What of ours a node names."""
        if isinstance(node, ast.Name) and node.id not in local:
            return Part(self.name, node.id) if node.id in self.definitions else self.parts.get(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id not in local:
            module = self.modules.get(node.value.id)
            return Part(module, node.attr) if module else None
        return None


@cache
def read_module(name: str) -> Module:
    return Module(name)


def walk(nodes: Iterable[ast.AST], local: frozenset[str] = frozenset()) -> Iterator[tuple[ast.AST, frozenset[str]]]:
    """Every node in and under these, and the names that are local where it stands."""
    for node in nodes:
        yield node, local
        inner: list[ast.AST] = []
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            inner = list(node.body) if isinstance(node, ast.FunctionDef) else [node.body]
            arguments = {n.arg for n in ast.walk(node.args) if isinstance(n, ast.arg)}
            yield from walk(inner, local | arguments | bound(inner))
        elif isinstance(node, COMPREHENSIONS):
            inner = list(ast.iter_child_nodes(node))
            yield from walk(inner, local | bound([c.target for c in node.generators]))
        outer = [child for child in ast.iter_child_nodes(node) if not any(child is one for one in inner)]
        yield from walk(outer, local)


def bound(nodes: Iterable[ast.AST]) -> frozenset[str]:
    """Names that these statements make, without those of functions and comprehensions within."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name):
            names |= {node.id} if isinstance(node.ctx, ast.Store) else set()
        elif not isinstance(node, COMPREHENSIONS + (ast.Lambda,)):
            names |= bound(ast.iter_child_nodes(node))
    return frozenset(names)


def name_of(member: ast.stmt) -> str:
    if isinstance(member, ast.FunctionDef | ast.ClassDef):
        return member.name
    target = member.targets[0] if isinstance(member, ast.Assign) else getattr(member, "target", None)
    return target.id if isinstance(target, ast.Name) else ""


def first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


def spell(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name
