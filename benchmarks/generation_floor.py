"""The whole command against its floor, the time inside generation alone: tiny model, CPU.

    python benchmarks/generation_floor.py [--runs 3] [--rows 8] [--max-out-len 32] [--threads 1]

A is the whole command on 57 mmlu subsets of --rows rows and 16 gsm8k rows. B, the floor, is what
OpenCompass's own wrapper needs to answer the same prompts subset by subset, in OpenCompass's
batches of the same size and with the same number of threads: only ``generate`` is timed, no import,
no loading, no scoring. mmlu stops at --max-out-len tokens, gsm8k at its preset's 512.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from measuring import (
    MMLU_AND_GSM8K,
    Stage,
    Timed,
    count_differing,
    evaluation_environment,
    finished_run,
    ftbench_command,
    inference_seconds,
    model_folder,
    print_bar,
    print_load,
    print_table,
    read_folder,
    set_stage,
    timed,
)

PROGRAM = Path(__file__).with_name("floor_program.py")

WHOLE_BAR = {8: 1.5, 100: 1.15}
"""How often the floor fits into the whole command at most, by rows of a subset."""

INFERENCE_BAR = 1.0


@dataclass(frozen=True)
class Pair:
    """One run of A and of B.

    Attributes:
        whole: The whole command.
        inference_s: What of it was inference, by its own account.
        floor_s, floor_processor_s: The floor, on the clock and of the processors.
        calls: Of ``generate`` in B.
        differing: Predictions of A and B that are not the same text, of ``samples``.
    """

    whole: Timed
    inference_s: float
    floor_s: float
    floor_processor_s: float
    calls: int
    differing: int
    samples: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--max-out-len", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        stage = set_stage(Path(temporary), options.rows)
        settings = (
            "datasets=[mmlu,gsm8k]",
            "runtime=local",
            f"runtime.cpu_threads={options.threads}",
            f"backend.max_out_len={options.max_out_len}",
        )
        pairs = [measure(stage, run, settings, options.threads) for run in range(options.runs)]
    print_table(
        "run|whole|its processors|inference|floor|its processors|whole/floor|inference/floor|"
        "differing".split("|"),
        [
            (
                number,
                pair.whole.clock_s,
                pair.whole.processor_s,
                pair.inference_s,
                pair.floor_s,
                pair.floor_processor_s,
                f"{pair.whole.clock_s / pair.floor_s:.2f}",
                f"{pair.inference_s / pair.floor_s:.2f}",
                f"{pair.differing} of {pair.samples}",
            )
            for number, pair in enumerate(pairs, 1)
        ],
    )
    bar = WHOLE_BAR.get(options.rows, WHOLE_BAR[8])
    print_bar("whole command / floor", [p.whole.clock_s / p.floor_s for p in pairs], bar)
    print_bar("inference / floor", [p.inference_s / p.floor_s for p in pairs], INFERENCE_BAR)
    print_load()


def measure(stage: Stage, run: int, settings: tuple[str, ...], threads: int) -> Pair:
    """Runs A, then B on the config that A wrote."""
    workspace, folder = stage.folder / f"workspace{run}", stage.folder / f"floor{run}"
    whole, _ = timed(ftbench_command(stage, workspace, *settings), stage.folder)
    files = finished_run(workspace, MMLU_AND_GSM8K)
    command = [stage.python, PROGRAM, files.opencompass_config, folder]
    environment = evaluation_environment(stage, files)
    _, printed = timed(command, stage.folder, environment)
    floor = json.loads(printed.splitlines()[-1])
    assert floor["threads"] == threads, floor
    differing, samples = count_differing(
        read_folder(model_folder(files.predictions)),
        read_folder(model_folder(folder / "predictions")),
    )
    assert floor["inputs"] == samples, (floor, samples)
    return Pair(
        whole,
        inference_seconds(files),
        floor["seconds"],
        floor["processor_seconds"],
        floor["calls"],
        differing,
        samples,
    )


if __name__ == "__main__":
    main()
