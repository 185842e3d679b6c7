"""Error bars of scores, and whether a difference is more than chance.

Values in, values out: nothing is read or written here, and every function gives the same for the
same arguments. scipy and statsmodels are imported by the functions that need them.
"""

from ftbench.statistics.averages import PairedMean, mean_uncertainty, paired_mean
from ftbench.statistics.paired import holm, paired
from ftbench.statistics.rows import MIN_CLUSTERS
from ftbench.statistics.uncertainty import uncertainty
from ftbench.statistics.values import Paired, SubsetOutcomes

__all__ = [
    "MIN_CLUSTERS",
    "Paired",
    "PairedMean",
    "SubsetOutcomes",
    "holm",
    "mean_uncertainty",
    "paired",
    "paired_mean",
    "uncertainty",
]
