"""What the evaluation program spends on scored subsets, in threads beside inference.

    python benchmarks/collecting.py [--runs 3]

For mmlu's 57 subsets and for one subset of as many rows (14,042), OpenCompass's predictions and
results are made (``made_runs``) and taken into the result by the program's own ``Collector``, in
Python of the evaluation environment: with and without counting tokens, seconds of the processor,
the longest time that another thread had to wait for the interpreter, and the largest resident
memory. Beside it, what one more line of progress costs with all of mmlu's subsets in it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from made_runs import MMLU, Shape, abbrs, write_opencompass_files

from ftbench.program import image_dir
from ftbench.schema import DatasetResult, Result, RunFiles, SubsetResult

ROOT = Path(__file__).resolve().parents[1]
FIRST = "first"
"""A small subset that is collected before the clock starts, so that the tokenizer is loaded."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--inside", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        folder, mode, *names = options.inside
        inside(Path(folder), mode, names)
        return
    print("14,042 rows  tokens   processor  longest wait  peak memory  progress line")
    with tempfile.TemporaryDirectory() as temporary:
        for label, shape in (("57 subsets", MMLU), ("one subset", Shape("one", (14_042,)))):
            files = RunFiles(Path(temporary) / shape.name)
            for position in range(len(shape.rows)):
                write_opencompass_files(files, "m", shape, position, seed=1)
            write_opencompass_files(files, "m", Shape(FIRST, (2,)), 0, seed=1)
            for mode, tokens in (("ppl", "-"), ("gen", "counted")):
                rows = [measure(files.root, mode, abbrs(shape)) for _ in range(options.runs)]
                seconds, wait, peak, line = map(statistics.median, zip(*rows, strict=True))
                print(
                    f"{label:<11}  {tokens:<7}  {seconds:>7.2f} s  {1000 * wait:>9.0f} ms  "
                    f"{peak:>8.0f} MB  {1000 * line:>10.1f} ms"
                )


def measure(folder: Path, mode: str, names: Sequence[str]) -> list[float]:
    """Collects in a process of the evaluation environment."""
    from ftbench.environment import ensure_environment
    from ftbench.host import read_host

    python = ensure_environment("cpu", None, read_host().cache_dir, os.environ, print).python
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(image_dir())])}
    command = [python, __file__, "--inside", folder, mode, *names]
    done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE)
    return [float(number) for number in done.stdout.split()]


def inside(folder: Path, mode: str, names: Sequence[str]) -> None:
    """Collects the subsets of a folder and prints what it took."""
    from ftbench_eval.checks import Checked
    from ftbench_eval.collecting import Collector
    from ftbench_eval.presets import Subset
    from ftbench_eval.progress import Progress
    from ftbench_eval.settings import read_settings

    environ = {"BENCHMARK_DATASETS": "d", "BASE_MODEL": "b", "MODEL_ABBR": "m"}
    settings = read_settings({**environ, "OUTPUT_PATH": str(folder)})
    files = RunFiles(folder)
    config = {
        "eval_cfg": {"evaluator": {"type": "x.AccEvaluator"}},
        "infer_cfg": {"inferencer": {"max_out_len": 512}},
    }
    progress = Progress(files, Result())
    subsets = tuple(SubsetResult(n, n, expected=1) for n in (FIRST, *names))
    progress.update(datasets=[DatasetResult("d", subsets=subsets)])
    checked = {n: Checked(Subset(n, "d", n, "p", mode, config), rows=1) for n in (FIRST, *names)}
    tokenizer = make_tokenizer(folder / "tokenizer")
    output: Any = SimpleNamespace(say=lambda line: None)
    collector = Collector(settings, files, progress, output, checked, str(tokenizer))
    collector.collect(FIRST, None)
    with waits() as waited:
        started = time.process_time()
        for name in names:
            collector.collect(name, None)
        seconds = time.process_time() - started
    assert all(progress.subset(name).score is not None for name in names)
    started = time.process_time()
    for _ in range(50):
        progress.settle(FIRST, seconds=1.0)
    line_s = (time.process_time() - started) / 50
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(seconds, max(waited), peak_mb, line_s)


def make_tokenizer(folder: Path) -> Path:
    """A fast tokenizer that knows pairs of letters, in the files of transformers."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    signs = pre_tokenizers.ByteLevel.alphabet()
    letters = "abcdefghijklmnopqrstuvz"
    pairs = [(first, second) for first in letters for second in "aeiounr"]
    vocabulary = {sign: number for number, sign in enumerate([*signs, *map("".join, pairs)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder


@contextmanager
def waits() -> Iterator[list[float]]:
    """Seconds for which a thread that wants the interpreter every millisecond waited for it."""
    waited: list[float] = [0.0]
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            before = time.perf_counter()
            time.sleep(0.001)
            waited.append(time.perf_counter() - before - 0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield waited
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    main()
