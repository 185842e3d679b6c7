"""ftbench: is the fine-tuned model better than its base, by how much, and what did it forget?

``ftbench.evaluate(config)`` is what the command line calls; it is imported on first use, since
importing this package must stay light.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

__all__ = ["__version__", "compose_config", "evaluate"]


def __getattr__(name: str) -> Any:
    if name == "evaluate":
        from ftbench.run import evaluate

        return evaluate
    if name == "compose_config":
        from ftbench.compose import compose_config

        return compose_config
    raise AttributeError(f"module 'ftbench' has no attribute '{name}'")
