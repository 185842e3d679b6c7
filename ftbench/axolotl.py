"""The callback for axolotl: two lines in its YAML file.

    plugins: [ftbench.axolotl.BenchmarkPlugin]
    ftbench: {datasets: [mmlu, gsm8k]}

What stands under ``ftbench`` are the arguments of ``hooks.BenchmarkCallback``. Source: axolotl
0.19.0, ``integrations/base.py``.
"""

from __future__ import annotations

from typing import Any

from axolotl.integrations.base import BasePlugin
from pydantic import BaseModel

from ftbench.hooks import BenchmarkCallback


class BenchmarkArgs(BaseModel):
    """What the plugin adds to axolotl's configuration.

    Attributes:
        ftbench: Arguments of ``BenchmarkCallback``, by name.
    """

    ftbench: dict[str, Any] | None = None


class BenchmarkPlugin(BasePlugin):  # type: ignore[misc]
    """Adds the callback to axolotl's trainer."""

    def get_input_args(self) -> str:
        """Names the class of the plugin's part of the configuration."""
        return "ftbench.axolotl.BenchmarkArgs"

    def add_callbacks_pre_trainer(self, cfg: Any, model: Any) -> list[BenchmarkCallback]:
        """Makes the callback from the configuration.

        Raises:
            ConfigError: An argument or setting is wrong, or there is none.
        """
        return [BenchmarkCallback(**dict(cfg.ftbench or {}))]
