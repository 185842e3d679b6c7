"""Tokens per second of a whole evaluation against the backend's own, on a machine with GPUs.

    python benchmarks/gpu_throughput.py --backend transformers --backend vllm [--num-gpus 1]
    python benchmarks/gpu_throughput.py --tiny --num-gpus 0      # tries the script on the CPU

The model has random weights and the shape of Qwen2.5-1.5B, so that nothing is downloaded; it writes
until its limit. The very prompts that ftbench asked are read from the samples that it leaves. Then
the backend alone answers them: transformers' ``generate`` on batches of the size that ftbench took,
sorted by length; vLLM's ``LLM.generate`` with all of them at once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import with_rows

from ftbench.compose import override
from ftbench.demo.data import write_benchmarks, write_examples
from ftbench.demo.training import SCRIPT
from ftbench.environment import ensure_environment, ready_environment
from ftbench.host import read_host
from ftbench.planning import variant
from ftbench.schema import OK, RunFiles, read_result, read_samples
from ftbench.workspace import run_dirs

ALONE = Path(__file__).with_name("gpu_alone.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", action="append", choices=("transformers", "vllm"))
    parser.add_argument("--num-gpus", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=100, help="of each of 57 subsets of mmlu")
    parser.add_argument("--max-out-len", type=int, default=256, help="of mmlu; gsm8k has its own")
    parser.add_argument("--datasets", default="mmlu,gsm8k")
    parser.add_argument("--tiny", action="store_true", help="the demo's model, a few rows")
    parser.add_argument("--environment", type=Path, help="one that is there; else it is built")
    parser.add_argument("--folder", type=Path, help="keeps all that is made, the model for again")
    parser.add_argument("options", nargs="*", help="of ftbench, such as backend.data_parallel=2")
    options = parser.parse_args()
    if options.environment:
        python = ready_environment(options.environment).python
        options.options.append(override("runtime.environment", options.environment))
    else:
        name = variant(options.num_gpus)
        cache_dir = read_host().cache_dir
        python = ensure_environment(name, None, cache_dir, os.environ, print).python
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        model = make_model(folder, python, options)
        for backend in options.backend or ["transformers"]:
            rows = [
                measure(folder, python, model, backend, run, options) for run in range(options.runs)
            ]
            show(backend, rows)


def make_model(folder: Path, python: Path, options: argparse.Namespace) -> Path:
    """A model with random weights, and the data of mmlu's 57 subsets and gsm8k."""
    write_examples(folder / "examples")
    write_benchmarks(folder)
    for path in sorted((folder / "data" / "mmlu" / "test").glob("*.csv")):
        text = with_rows(path.read_text(encoding="utf-8"), 3 if options.tiny else options.rows)
        path.write_text(text, encoding="utf-8")
    models = folder / "models"
    tiny, large = models / "tiny-qwen2", folder / "model"
    if not tiny.is_dir():
        make = [python, SCRIPT, folder / "examples", models, "--untrained"]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    if options.tiny:
        return tiny
    if not large.is_dir():
        subprocess.run([python, ALONE, "make", tiny, large], check=True)
    return large


def measure(
    folder: Path,
    python: Path,
    model: Path,
    backend: str,
    run: int,
    options: argparse.Namespace,
) -> tuple[float, float, float, int]:
    """Seconds of the whole command, of inference, and of the backend alone; output tokens."""
    workspace = folder / f"{backend}{run}-{os.getpid()}"
    command = [
        *(sys.executable, "-m", "ftbench.run", f"datasets=[{options.datasets}]", "runtime=local"),
        *(f"backend={backend}", f"backend.max_out_len={options.max_out_len}", "reuse=never"),
        "baseline=none",
        *(f"runtime.num_gpus={options.num_gpus}", "tracking=none", *options.options),
        override("model.base", model),
        override("data_dir", folder),
        override("workspace", workspace),
    ]
    began = time.monotonic()
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    whole_s = time.monotonic() - began
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (run_dir,) = run_dirs(workspace)
    files = RunFiles(run_dir)
    result = read_result(files.summary)
    assert {d.name: d.status for d in result.datasets} == dict.fromkeys(
        options.datasets.split(","), OK
    )
    print(f"{backend}: {result.model.parallel or '1 copy'}; batches of {result.model.batches}")
    subsets = [subset for dataset in result.datasets for subset in dataset.subsets]
    samples = [sample for s in subsets for sample in read_samples(files.samples(s.abbr))]
    asked = folder / "asked.json"
    prompts = [[sample.prompt, sample.output_tokens or 0] for sample in samples]
    job = {"prompts": prompts, "batches": result.model.batches, "num_gpus": options.num_gpus}
    asked.write_text(json.dumps(job), encoding="utf-8")
    # As many threads as ftbench gives the evaluation where nothing else is said; see planning.py.
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // 2))}
    alone = subprocess.run(
        [python, ALONE, backend, model, asked],
        env={**os.environ, **threads},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    alone_s = float(alone.stdout.splitlines()[-1])
    inference_s = sum(dataset.seconds for dataset in result.datasets)
    return whole_s, inference_s, alone_s, sum(tokens for _, tokens in prompts)


def show(backend: str, rows: list[tuple[float, float, float, int]]) -> None:
    """The table of one backend, tokens per second."""
    print(f"\n{backend:<14} whole command      inference  backend alone  inference / alone")
    for number, (whole, inference, alone, tokens) in enumerate(rows, 1):
        print(
            f"run {number:<10} {tokens / whole:>9.0f} /s {tokens / inference:>12.0f} /s "
            f"{tokens / alone:>12.0f} /s  {alone / inference:>17.2f}"
        )
    ratio = statistics.median(alone / inference for _, inference, alone, _ in rows)
    print(f"median {'':<49}{ratio:>19.2f}\n")


if __name__ == "__main__":
    main()
