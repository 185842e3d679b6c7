"""The story of one evaluation, from the environment variables to ``result.json``.

settings -> OpenCompass imported, fork server -> presets -> model decision -> datasets checked
-> config written -> model loaded once -> for each subset: infer, and beside it score the one
before -> result
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import MutableMapping
from pathlib import Path

from ftbench.schema import SCHEMA_VERSION, Result, RunFiles
from ftbench_eval.evalplus_data import provide_evalplus_tests
from ftbench_eval.evaluation import Evaluation
from ftbench_eval.fork_server import start_fork_server, without_secrets
from ftbench_eval.hub_data import prepare_cache
from ftbench_eval.nltk_data import provide_sentence_model
from ftbench_eval.output import Output
from ftbench_eval.progress import Progress
from ftbench_eval.reasons import Refused, explain
from ftbench_eval.resume import previous_seconds
from ftbench_eval.settings import Settings, SettingsError, read_settings
from ftbench_eval.stop import end_on_signals, watch_for_stop

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_SETTINGS = 2

STOP_MARGIN_S = 30.0
"""The launcher stops a run at TIMEOUT_S; our own limit comes later, for when the launcher died."""


def main(environ: MutableMapping[str, str]) -> int:
    """Runs one evaluation.

    Args:
        environ: ``os.environ``.

    Returns:
        0: ``result.json`` says how every dataset went. 1: the run failed as a whole; it says why.
        2: the environment is not usable, nothing ran.

    Side effects: fills ``OUTPUT_PATH``; redirects standard output and error of the process.
    """
    without_secrets(environ)
    try:
        settings = read_settings(environ)
        files = RunFiles(settings.output)
        seconds = previous_seconds(files, settings.fingerprint)
    except SettingsError as exc:
        for problem in exc.problems:
            print(f"ftbench: {problem}", file=sys.stderr)
        return EXIT_SETTINGS
    except Refused as exc:
        print(f"ftbench: {exc}", file=sys.stderr)
        return EXIT_SETTINGS
    files.result.unlink(missing_ok=True)
    progress = Progress(files, _first_result(settings))
    if not settings.datasets:
        print("ftbench: no dataset was asked for; nothing to do", flush=True)
        progress.finish()
        return EXIT_OK
    output = Output(files.opencompass_log)
    scratch = Path(tempfile.mkdtemp(prefix="ftbench-"))
    try:
        return _evaluate(environ, settings, files, progress, output, scratch, seconds)
    finally:
        os.chdir("/")
        shutil.rmtree(scratch, ignore_errors=True)


def _evaluate(
    environ: MutableMapping[str, str],
    settings: Settings,
    files: RunFiles,
    progress: Progress,
    output: Output,
    scratch: Path,
    seconds: dict[str, float],
) -> int:
    evaluation = Evaluation(settings, files, progress, output, scratch, seconds)

    def stop(reason: str) -> None:
        progress.write()
        evaluation.kill()
        output.say(f"ftbench: stopped by {reason}; what is finished is kept")
        shutil.rmtree(scratch, ignore_errors=True)

    margin = None if settings.timeout_s is None else settings.timeout_s + STOP_MARGIN_S
    end_on_signals(stop)
    # OpenCompass leaves .cache, tmp and icl_inference_output wherever it stands.
    os.chdir(scratch)
    progress.write()
    prepare_environment(environ, settings)
    provide_sentence_model(scratch / "nltk_data", environ)
    prepare_cache(environ, scratch)
    output.say("ftbench: loading OpenCompass")
    try:
        start_fork_server(environ)
        watch_for_stop(margin, stop)
        evaluation.run()
    except Exception as exc:  # the top of the program: a failure becomes data
        reason = explain(exc, "internal")
        progress.fail_pending(reason)
        progress.finish(failure=reason)
        output.say(f"ftbench: failed: {reason.message}")
        return EXIT_FAILED
    progress.finish()
    output.say("ftbench: done")
    return EXIT_OK


def prepare_environment(environ: MutableMapping[str, str], settings: Settings) -> None:
    """Gives the libraries the variables they read.

    Side effects: changes ``environ``.
    """
    from ftbench_eval.model_load import limit_gpus

    if settings.data_folder is not None:
        environ["COMPASS_DATA_CACHE"] = str(settings.data_folder)
        provide_evalplus_tests(settings.data_folder, environ)
    environ["CUDA_VISIBLE_DEVICES"] = limit_gpus(
        settings.num_gpus, environ.get("CUDA_VISIBLE_DEVICES")
    )
    # vLLM would fork its engine from here, where threads hold locks that a fork never gives back.
    environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    # Two threads of ours use tokenizers; its own parallelism warns and can deadlock after a fork.
    environ["TOKENIZERS_PARALLELISM"] = "false"


def _first_result(settings: Settings) -> Result:
    return Result(
        schema_version=SCHEMA_VERSION,
        fingerprint=settings.fingerprint,
        model_abbr=settings.model_abbr,
        started_at=time.time(),
    )
