"""Datasets that were built for the check, kept until inference asks for them.

Building one takes 50 ms and more, however few rows it has, and OpenCompass would build each again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from ftbench_eval.judging import class_name

KEPT_BYTES = 1 << 30
"""Rows of all kept datasets together; what does not fit is built again."""


def build(config: Any) -> Any:
    """Builds a dataset with OpenCompass.

    Raises:
        Exception: Whatever OpenCompass raises.
    """
    from opencompass.utils import build_dataset_from_cfg

    return build_dataset_from_cfg(config)


class BuiltDatasets:
    """Builds datasets, and hands each that was kept to the next who asks, once.

    It is as if each had been built for him: nobody else has it. Safe to use from any thread.

    Args:
        limit: Bytes of rows to keep.
        build_one: Builds what is not kept.
    """

    def __init__(self, limit: int = KEPT_BYTES, build_one: Callable[[Any], Any] = build) -> None:
        self._limit = limit
        self._build_one = build_one
        self._kept: dict[str, tuple[Any, int]] = {}
        self._lock = threading.Lock()

    def keep(self, config: Any, dataset: Any) -> None:
        """Keeps a dataset that is in order, where there is room.

        Args:
            config: What it was built from.
            dataset: OpenCompass's own, built.
        """
        size = _bytes_of(dataset)
        with self._lock:
            if size + sum(each for _, each in self._kept.values()) <= self._limit:
                self._kept[_key(config)] = dataset, size

    def build(self, config: Any) -> Any:
        """The kept dataset of a config, else one that is built now.

        Raises:
            Exception: Whatever OpenCompass raises.
        """
        with self._lock:
            dataset, _ = self._kept.pop(_key(config), (None, 0))
        return self._build_one(config) if dataset is None else dataset

    def serve_inference(self) -> None:
        """Lets OpenCompass's inference task get its datasets here.

        Side effects: replaces a name in ``opencompass.tasks.openicl_infer`` (0.5.4).
        """
        import opencompass.tasks.openicl_infer

        opencompass.tasks.openicl_infer.build_dataset_from_cfg = self.build


def name_datasets_at_random() -> None:
    """Spares ``datasets`` the names that it makes from a dataset's content and its changes.

    They lead to what an earlier process cached, and ours caches in a folder that is removed. Making
    them takes two fifths of building a small dataset.

    Side effects: replaces two functions of ``datasets`` (3.6) in this process.
    """
    from datasets import arrow_dataset, fingerprint

    def at_random(*_args: Any, **_kwargs: Any) -> str:
        return str(fingerprint.generate_random_fingerprint())

    arrow_dataset.generate_fingerprint = at_random
    arrow_dataset.update_fingerprint = fingerprint.update_fingerprint = at_random


def _key(config: Any) -> str:
    """Everything that decides the dataset: the config without inference and evaluation."""
    plain = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    own = {name: value for name, value in plain.items() if name not in ("infer_cfg", "eval_cfg")}
    return json.dumps(own, sort_keys=True, default=_named)


def _named(value: Any) -> str:
    return class_name(value) if isinstance(value, type) else repr(value)


def _bytes_of(dataset: Any) -> int:
    rows = getattr(dataset, "dataset", None)
    parts = rows.values() if isinstance(rows, dict) else [rows]
    return sum(int(getattr(getattr(part, "data", None), "nbytes", 0)) for part in parts)
