"""Error bars of scores, and whether a difference is more than chance."""

from ftbench.statistics.values import Paired, SubsetOutcomes

__all__ = ["Paired", "SubsetOutcomes"]
