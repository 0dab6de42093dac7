"""What made a result: a digest of the library code behind it, and the versions and machine that ran it."""

from __future__ import annotations

import ast
import hashlib
import platform
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("opnorm", "torch", "torchvision", "numpy", "pandas", "matplotlib", "safetensors", "snakemake")


def code_digest(*modules: str) -> str:
    """A digest of the code in `modules` and in everything of this package that they import, directly or not.

    Comments, docstrings, formatting, imports for type checking, and the entries of a `REGISTRY` do not count: what
    cannot change a result causes no rerun. A registry's user names the modules of the entries that it uses.
    """
    closure = sorted(set().union(*(_closure(module) for module in modules)))
    text = "\n".join(f"{module} {_source_digest(module)}" for module in closure)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Python, platform and the packages that results depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _closure(module: str) -> frozenset[str]:
    found, todo = set[str](), [module]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(_imports(name))
    return frozenset(found)


@cache
def _imports(module: str) -> tuple[str, ...]:
    package = module.split(".")[0]
    names = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
    return tuple(name for name in names if name.startswith(f"{package}.") and _path(name) is not None)


@cache
def _source_digest(module: str) -> str:
    return hashlib.sha256(ast.dump(_tree(module)).encode()).hexdigest()


@cache
def _tree(module: str) -> ast.Module:
    path = _path(module)
    if path is None:
        raise ModuleNotFoundError(module)
    return _WithoutProse().visit(ast.parse(path.read_text(encoding="utf-8")))  # type: ignore[no-any-return]


@cache
def _path(module: str) -> Path | None:
    """The file of `module`, found without importing it or its parents' contents."""
    root = find_spec(module.split(".")[0])
    if root is None or not root.submodule_search_locations:
        return None
    base = Path(root.submodule_search_locations[0]).joinpath(*module.split(".")[1:])
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


class _WithoutProse(ast.NodeTransformer):
    """Drops docstrings, imports for type checking, and the value of `REGISTRY`."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            node.body = body[1:]  # type: ignore[attr-defined]
        return node

    def visit_If(self, node: ast.If) -> ast.AST | None:  # noqa: N802
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:  # noqa: N802
        return None if _is_registry(node.target) else self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:  # noqa: N802
        return None if _is_registry(node.targets[0]) else self.generic_visit(node)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_registry(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "REGISTRY"
