"""One self-contained source file out of some definitions of this package and all that they use of it.

The text of each definition stays as it is, comments and all; only references change, `layers.norm2d` to `norm2d`, or to
`layers_dropout` where the plain name would mean something else.
"""

import ast
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from ganhub import __version__
from ganhub.standalone.sources import Module, Part, first_line, name_of, read_module, walk


class Reference(NamedTuple):
    """A place that names a part, and the local names that it sees."""

    node: ast.Name | ast.Attribute
    part: Part
    locals: frozenset[str]


class Assembly:
    """The parts that are needed, found from the roots on."""

    def __init__(self, kept: Mapping[Part, set[str]], stand_ins: Mapping[Part, tuple[str, str]]):
        self.kept, self.stand_ins = kept, stand_ins
        self.references: dict[Part, list[Reference]] = {}  # in each part that is needed
        self.imports: dict[str, str] = {}

    def add(self, part: Part) -> None:
        """Take a part and everything that it uses."""
        if part in self.references:
            return
        module = read_module(part.module)
        found = self.references[part] = []
        for node, local in walk(self.nodes(part)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                raise ValueError(f"{part.module}.{part.name} imports further in: {ast.unparse(node)}")
            if not isinstance(node, ast.Name | ast.Attribute):
                continue
            if used := module.find(node, local):
                found.append(Reference(node, used, local))
            elif isinstance(node, ast.Name) and node.id in module.imports and node.id not in local:
                self.need(node.id, module.imports[node.id])
        for reference in found:
            if reference.part in self.stand_ins:
                library, name = self.stand_ins[reference.part]
                self.need(name, f"from {library} import {name}")
            else:
                self.add(reference.part)

    def need(self, name: str, statement: str) -> None:
        if self.imports.setdefault(name, statement) != statement:
            raise ValueError(f"{name} would be both {self.imports[name]!r} and {statement!r}")

    def nodes(self, part: Part) -> list[ast.stmt | ast.expr]:
        """A definition; or of a class in `kept` its bases, and the members that are kept or that those use."""
        node = read_module(part.module).definitions[part.name]
        if part not in self.kept or not isinstance(node, ast.ClassDef):
            return [node]
        return [*node.bases, *self.members(node, self.kept[part])]

    def members(self, node: ast.ClassDef, kept: Collection[str]) -> list[ast.stmt]:
        named = {name_of(member): member for member in node.body}
        wanted, found = sorted(kept), set()
        while wanted:
            name = wanted.pop()
            if name in named and name not in found:
                found.add(name)
                wanted += [part.attr for part in ast.walk(named[name]) if isinstance(part, ast.Attribute)]
        return [member for name, member in named.items() if name in found]

    def names(self, root: str) -> dict[Part, str]:
        """What each part is called: its own name, or with its module's before it where that is another's."""
        hidden = {r.part for found in self.references.values() for r in found if r.part.name in r.locals}
        taken, names = set(self.imports), {}
        for part in sorted(self.references, key=lambda part: (part.module != root, part)):
            module = part.module.rpartition(".")[2]
            is_class = isinstance(read_module(part.module).definitions[part.name], ast.ClassDef)
            longer = f"{module.capitalize()}{part.name}" if is_class else f"{module}_{part.name}"
            names[part] = longer if part.name in taken or part in hidden else part.name
            taken.add(names[part])
        return names

    def text(self, part: Part, names: Mapping[Part, str]) -> str:
        """The source of a part, with what it refers to called by `names`."""
        module, edits = read_module(part.module), []
        node = module.definitions[part.name]
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            start = re.compile(rb"\s*(def|class)\s+").match(module.lines[node.lineno - 1])
            assert start
            edits.append((node.lineno, start.end(), start.end() + len(part.name), names[part]))
        for reference in self.references[part]:
            place, used = reference.node, reference.part
            name = self.stand_ins[used][1] if used in self.stand_ins else names[used]
            edits.append((place.lineno, place.col_offset, int(place.end_col_offset or 0), name))
        if part not in self.kept or not isinstance(node, ast.ClassDef):
            return module.excerpt(first_line(node), int(node.end_lineno or 0), edits)
        head = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
        pieces = [module.excerpt(first_line(node), int(head or 0), edits)]
        for member in self.members(node, self.kept[part]):
            pieces.append(module.excerpt(first_line(member), int(member.end_lineno or 0), edits))
        return "\n\n".join(pieces)


def assemble(
    root: str, names: Collection[str], kept: Mapping[Part, set[str]], stand_ins: Mapping[Part, tuple[str, str]]
) -> str:
    """The source of a module that has these names, and imports nothing of ganhub.

    Args:
        root: the module that has them, e.g. "ganhub.models.dcgan".
        names: functions, classes or constants.
        kept: of these classes only the members named here, and what they use.
        stand_ins: (library, name) to import in place of parts of ours.

    Raises:
        ValueError: a source does what this module doesn't know.
    """
    assembly = Assembly(kept, stand_ins)
    for name in names:
        assembly.add(Part(root, name))
    called = assembly.names(root)
    module = read_module(root)
    head = (
        f'"""{module.docstring}\n\nThis file needs no ganhub: ganhub {__version__} put it together out of its own '
        'sources (MIT licence), so that\ndiffusers loads the model with `trust_remote_code=True`.\n"""\n'
    )
    blocks = [head, *import_blocks(assembly.imports.values())]
    for source in in_order(root, {part.module for part in called}):
        parts = [Part(source.name, own) for own in source.definitions if Part(source.name, own) in called]
        blocks += [assembly.text(part, called) for part in parts]
    return spaced(blocks)


def in_order(root: str, needed: Collection[str]) -> list[Module]:
    """The needed modules, each after those that it imports: in that order they can run."""
    module = read_module(root)
    imported = [*module.modules.values(), *(part.module for part in module.parts.values())]
    before = [source for name in imported if name in needed for source in in_order(name, needed)]
    return list(dict.fromkeys([*before, module]))


def import_blocks(statements: Iterable[str]) -> list[str]:
    """The imports, those of Python before those of others, one line a module."""
    modules: dict[str, set[str]] = {}
    for statement in statements:
        start, _, name = statement.partition(" import ") if statement.startswith("from") else (statement, "", "")
        modules.setdefault(start, set()).update({name} - {""})
    lines = {key: f"{key} import {', '.join(sorted(names))}" if names else key for key, names in modules.items()}
    order = sorted(lines, key=lambda key: (key.startswith("from"), key))
    own = [key for key in order if key.split()[1].partition(".")[0] in sys.stdlib_module_names]
    groups = [own, [key for key in order if key not in own]]
    return ["\n".join(lines[key] for key in group) + "\n" for group in groups if group]


def spaced(blocks: Iterable[str]) -> str:
    """Blocks with two empty lines around functions and classes, and none between constants."""
    text = ""
    for block in blocks:
        large = re.match(r"(@|def |class )", block) or re.search(r"^(    |@|def |class )", text.rpartition("\n\n")[2])
        text += ("\n\n" if large and text else "") + block.rstrip("\n") + "\n"
        text += "\n" if block.endswith("\n") else ""
    return text
