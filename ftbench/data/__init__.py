"""The data of the datasets: found on this machine, else brought before anything is started.

``places`` says where a source lies, ``download`` and ``archives`` bring OpenCompass's archives,
``hub`` the datasets of the Hugging Face hub, ``fetch`` whatever a list of datasets needs;
``gather`` makes one folder of several.
"""

from __future__ import annotations

from ftbench.data.fetch import Access, Fetched, announced, fetch, obstacles, still_missing
from ftbench.data.gather import gather
from ftbench.data.places import Missing, contents_of, find_missing, is_here, linked_data, place_of

__all__ = [
    "Access",
    "Fetched",
    "Missing",
    "announced",
    "contents_of",
    "fetch",
    "find_missing",
    "gather",
    "is_here",
    "linked_data",
    "obstacles",
    "place_of",
    "still_missing",
]
