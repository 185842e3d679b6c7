"""Several benchmark runs side by side: which model is best, where, and by how much.

Values in, values out: who calls this has found the runs (``ftbench.tracking.reading``), and writes
what comes back. ``compare`` makes a ``Comparison``; ``terminal``, ``markdown``, ``as_json`` and
``page`` show it. A difference is there only where two scores mean the same: ``comparable`` says
when. Whether a difference is more than chance is not said here.
"""

from __future__ import annotations

from ftbench.comparison.compare import compare
from ftbench.comparison.evaluated import Evaluated
from ftbench.comparison.values import Comparison

__all__ = ["Comparison", "Evaluated", "compare"]
