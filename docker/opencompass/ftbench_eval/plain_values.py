"""Plain Python values as text and back, across the wall between a test and a model's program.

Neither pickle nor marshal: what comes from a model's program is text of a hostile author, and
reading it must run nothing. Types survive, because tests compare them; an object of a class that
is not known here becomes a reference that equals only itself.
"""

from __future__ import annotations

import base64
import collections
import datetime
import decimal
import fractions
import itertools
import json
import types
from collections.abc import Callable
from typing import Any

import numpy as np

_MOST_ITEMS = 100_000
"""Items that are taken out of an iterator, which may be endless."""

_MODULES = frozenset(
    "math cmath random re itertools functools collections copy string datetime heapq bisect "
    "operator statistics fractions decimal json typing time calendar numpy".split()
)
"""What a test may use that its program imported."""


class TupleLike(tuple[Any, ...]):
    """A tuple of a class of the program's own, such as a named tuple."""


class ListLike(list[Any]):
    """A list of a class of the program's own."""


class DictLike(dict[Any, Any]):
    """A dict of a class of the program's own."""


class TextLike(str):
    """A text of a class of the program's own."""


class IntLike(int):
    """An integer of a class of the program's own."""


class FloatLike(float):
    """A number of a class of the program's own."""


Refer = Callable[[Any], int]
"""Gives the number by which the other side names an object that stays here."""

Resolve = Callable[[int, str], Any]
"""Gives the object that a number names; the text says what it looks like."""


def encode(value: Any, refer: Refer) -> str:
    """A value as one line of text.

    Args:
        refer: Called for what is no plain value.

    Raises:
        RecursionError: It contains itself.
    """
    return json.dumps(_to_tree(value, refer), separators=(",", ":"))


def decode(text: str, resolve: Resolve) -> Any:
    """The value of a line; runs nothing that stands in it.

    Raises:
        ValueError: No such line is ever written by ``encode``.
    """
    try:
        return _from_tree(json.loads(text), resolve)
    except (TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError) as exc:
        raise ValueError(f"not a plain value: {exc!r}") from exc
    except (ArithmeticError, MemoryError) as exc:
        raise ValueError(f"not a plain value: {exc!r}") from exc


def _to_tree(value: Any, refer: Refer) -> Any:
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is float:
        return value
    if kind is int:
        return value if -(1 << 62) < value < 1 << 62 else ["i", hex(value)]
    writer = _WRITERS.get(kind)
    if writer is not None:
        tag, parts = writer
        return [tag, *parts(value, lambda item: _to_tree(item, refer))]
    if isinstance(value, np.generic) and value.dtype.kind in "biufcU":
        return ["np", value.dtype.str, _to_tree(value.item(), refer)]
    if kind is np.ndarray and value.dtype.kind in "biufc":
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return ["nd", value.dtype.str, list(value.shape), data]
    if isinstance(value, types.ModuleType):
        return ["m", value.__name__] if value.__name__ in _MODULES else _reference(value, refer)
    for base, tag in _LIKE:
        if isinstance(value, base):
            plain = _plain_base(base, value)
            return [tag, _to_tree(plain, refer)]
    if hasattr(kind, "__next__") and hasattr(kind, "__iter__"):
        items = list(itertools.islice(value, _MOST_ITEMS))
        return ["it", *(_to_tree(item, refer) for item in items)]
    return _reference(value, refer)


def _plain_base(base: Any, value: Any) -> Any:
    # Not base(value): a class of the program's own may have overridden what that calls.
    if base is dict:
        return dict(dict.items(value))
    if base is str:
        return str.__str__(value)
    if base in (int, float):
        return base.__add__(value, base(0))
    return base.__getitem__(value, slice(None))


def _reference(value: Any, refer: Refer) -> list[Any]:
    try:
        text = str(value)[:10_000]
    except Exception:  # code of the program's own
        text = ""
    return ["ref", refer(value), text]


def _each(value: Any, tree: Callable[[Any], Any]) -> list[Any]:
    return [tree(item) for item in value]


def _pairs(value: Any, tree: Callable[[Any], Any]) -> list[Any]:
    return [[tree(key), tree(item)] for key, item in value.items()]


def _iso(value: Any, tree: Callable[[Any], Any]) -> list[Any]:
    return [value.isoformat()]


_WRITERS: dict[type, tuple[str, Callable[[Any, Callable[[Any], Any]], list[Any]]]] = {
    list: ("l", _each),
    tuple: ("t", _each),
    set: ("s", _each),
    frozenset: ("fs", _each),
    dict: ("d", _pairs),
    collections.Counter: ("dC", _pairs),
    collections.OrderedDict: ("dO", _pairs),
    collections.defaultdict: ("dD", _pairs),
    collections.deque: ("dq", lambda v, tree: [v.maxlen, *_each(v, tree)]),
    type({}.keys()): ("dk", _each),
    complex: ("c", lambda v, tree: [v.real, v.imag]),
    bytes: ("b", lambda v, tree: [v.hex()]),
    bytearray: ("ba", lambda v, tree: [v.hex()]),
    range: ("r", lambda v, tree: [tree(v.start), tree(v.stop), tree(v.step)]),
    slice: ("sl", lambda v, tree: [tree(v.start), tree(v.stop), tree(v.step)]),
    decimal.Decimal: ("D", lambda v, tree: [str(v)]),
    fractions.Fraction: ("F", lambda v, tree: [tree(v.numerator), tree(v.denominator)]),
    datetime.datetime: ("dt", _iso),
    datetime.date: ("da", _iso),
    datetime.time: ("ti", _iso),
    datetime.timedelta: ("td", lambda v, tree: [v.days, v.seconds, v.microseconds]),
}

_LIKE: tuple[tuple[Any, str], ...] = (
    (tuple, "t+"),
    (list, "l+"),
    (dict, "d+"),
    (str, "str+"),
    (int, "i+"),
    (float, "f+"),
)


def _from_tree(tree: Any, resolve: Resolve) -> Any:
    if not isinstance(tree, list):
        if isinstance(tree, dict):
            raise ValueError("no dict is ever written")
        return tree
    tag, *parts = tree
    if tag == "ref":
        number, text = parts
        return resolve(int(number), str(text))
    if tag == "m":
        (name,) = parts
        if name not in _MODULES:
            raise ValueError(f"module {name} is not for tests")
        return __import__(name)
    if tag == "np":
        dtype = _number_type(parts[0])
        return dtype.type(_from_tree(parts[1], resolve))
    if tag == "nd":
        raw = base64.b64decode(parts[2])
        return np.frombuffer(raw, _number_type(parts[0])).reshape(parts[1]).copy()
    if tag.startswith("d") and tag in _DICTS:
        return _DICTS[tag]((_from_tree(k, resolve), _from_tree(v, resolve)) for k, v in parts)
    return _READERS[tag]([_from_tree(part, resolve) for part in parts])


def _number_type(name: str) -> np.dtype[Any]:
    dtype = np.dtype(name)
    if dtype.kind not in "biufcU":
        raise ValueError(f"type {name} is not for numbers")
    return dtype


_DICTS: dict[str, Callable[[Any], Any]] = {
    "d": dict,
    "dC": lambda pairs: collections.Counter(dict(pairs)),
    "dO": collections.OrderedDict,
    "dD": lambda pairs: collections.defaultdict(None, pairs),
}

_READERS: dict[str, Callable[[list[Any]], Any]] = {
    "i": lambda p: int(p[0], 16),
    "l": list,
    "t": tuple,
    "s": set,
    "fs": frozenset,
    "it": iter,
    "dq": lambda p: collections.deque(p[1:], p[0]),
    "dk": lambda p: dict.fromkeys(p).keys(),
    "c": lambda p: complex(p[0], p[1]),
    "b": lambda p: bytes.fromhex(p[0]),
    "ba": lambda p: bytearray.fromhex(p[0]),
    "r": lambda p: range(*p),
    "sl": lambda p: slice(*p),
    "D": lambda p: decimal.Decimal(p[0]),
    "F": lambda p: fractions.Fraction(p[0], p[1]),
    "dt": lambda p: datetime.datetime.fromisoformat(p[0]),
    "da": lambda p: datetime.date.fromisoformat(p[0]),
    "ti": lambda p: datetime.time.fromisoformat(p[0]),
    "td": lambda p: datetime.timedelta(*p),
    "t+": lambda p: TupleLike(p[0]),
    "l+": lambda p: ListLike(p[0]),
    "d+": lambda p: DictLike(p[0]),
    "str+": lambda p: TextLike(p[0]),
    "i+": lambda p: IntLike(p[0]),
    "f+": lambda p: FloatLike(p[0]),
}
