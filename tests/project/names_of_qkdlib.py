"""Whether what a script or a notebook names of qkdlib is there: no other test would run every line of it."""

import ast
import importlib
import types


def missing(source: str, names: dict) -> list[str]:
    """Each `name.attribute` of the source that is not there, where `name` is a module of qkdlib."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = names.get(node.value.id)
            ours = isinstance(module, types.ModuleType) and module.__name__.split(".")[0] == "qkdlib"
            if ours and not hasattr(module, node.attr):
                found.append(f"{node.value.id}.{node.attr}")
    return found


def imported(source: str) -> dict:
    """What the source imports from qkdlib, by the names that it gives to them. `ImportError`: one is not there."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for each in node.names:
                if each.name.split(".")[0] == "qkdlib":
                    found["qkdlib"] = importlib.import_module(each.name) and importlib.import_module("qkdlib")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "qkdlib":
            for each in node.names:
                found[each.asname or each.name] = _named(node.module, each.name)
    return found


def _named(module: str, name: str) -> object:
    there = importlib.import_module(module)
    return getattr(there, name) if hasattr(there, name) else importlib.import_module(f"{module}.{name}")
