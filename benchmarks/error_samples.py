"""What it costs to choose wrong answers among many.

python -m benchmarks.error_samples [SAMPLES]
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from ftbench.error_samples import choose_errors
from ftbench.plan import DatasetPlan
from ftbench.schema import OK, DatasetResult, Result, Sample, SubsetResult, write_samples
from tests.builders import make_plan

SUBSETS = 10


def main(samples: int) -> None:
    """Prints CPU seconds and memory of one choice of 20; half of the answers are wrong."""
    with tempfile.TemporaryDirectory() as folder:
        abbrs = [f"subset_{n}" for n in range(SUBSETS)]
        plan = make_plan(Path(folder), (DatasetPlan("made", (), "gen", tuple(abbrs), ()),))
        for abbr in abbrs:
            rows = (
                Sample(abbr, i, "why " * 200, "because " * 50, "B", "A", i % 2 == 0)
                for i in range(samples // SUBSETS)
            )
            write_samples(plan.files.samples(abbr), rows)
        subsets = tuple(SubsetResult(abbr, abbr, OK) for abbr in abbrs)
        result = Result(datasets=(DatasetResult("made", OK, subsets=subsets),))
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        chosen = choose_errors(plan, result)
        seconds = time.process_time() - started
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{samples} samples, {chosen.wrong['made']} wrong: {len(chosen.samples)} chosen in")
    print(f"{seconds:.2f} s of CPU, {grown / 1024:.1f} MiB more memory")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
