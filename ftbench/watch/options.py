"""The command line of the watcher: what is its own, and what is handed on to ``ftbench.run``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ftbench.watch.folder import BOTH, CHECKPOINTS, FINAL
from ftbench.watch.processes import ProcessId, parse_process

NOW = "now"

_DESCRIPTION = """\
Evaluates what training leaves, as it comes, each model once: the checkpoints in a folder, or the
adapters of an MLflow experiment's finished runs. Killed at any moment, the same command goes on.

  python -m ftbench.watch out 'datasets=[mmlu,gsm8k]'
  python -m ftbench.watch --experiment mine --where 'metrics.loss < 1' suite=quick

What has an = in it is a setting of ftbench.run and holds for every evaluation
(python -m ftbench.run --help lists them); the model, its training run and its step are found."""

_EXIT_CODES = """\
exit codes: 0 ended by itself or by a signal; with --once, --until-exit-of or --after-exit-of also
100 + the number of models that could not be evaluated, or that a gate does not let pass (at most
125), and 130 after a signal; 2 wrong command line or settings; 3 another watcher is at work, the
watcher's folder cannot be written, or the tracker cannot be asked by a watcher that is to end by
itself."""


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
        folder: Training's output folder, as given; None with an experiment.
        experiment: Name or id; None with a folder.
        since: Seconds since the epoch, ``now``, or None.
        until, after: Processes; see ``following.Policy``.
        settings: Overrides of ``ftbench.run``.
    """

    folder: Path | None
    experiment: str | None
    where: str
    tracking_uri: str | None
    once: bool
    poll_s: float
    settle_s: float
    retries: int
    retry_pause_s: float
    retry_failed: bool
    take: str
    only_marked: bool
    every: int
    since: float | str | None
    until: tuple[ProcessId, ...]
    after: tuple[ProcessId, ...]
    check: bool
    state: Path | None
    config_dir: str | None
    config_name: str | None
    settings: tuple[str, ...]

    @property
    def has_end(self) -> bool:
        """Whether the watcher is meant to end by itself."""
        return self.once or bool(self.until or self.after)


def parse_options(arguments: Sequence[str] | None) -> Options:
    """Reads the command line; what is wrong with it ends the process with exit code 2."""
    parser = _parser()
    given = vars(parser.parse_intermixed_args(arguments))
    words: list[str] = given.pop("words")
    folder = None
    if given["experiment"] is None:
        # The folder is what is no setting; one whose own name has an = in it comes first.
        bare = [word for word in words if "=" not in word and not word.startswith("~")]
        named = bare[0] if bare else next((w for w in words if Path(w).is_dir()), None)
        if named is None:
            parser.error("say which folder to follow, or --experiment NAME")
        folder = Path(named).expanduser()
        words.remove(named)
    elif given["take"] != BOTH or given["only_marked"] or given["every"]:
        parser.error("--take, --only-marked and --every choose among the checkpoints of a folder")
    if given["where"] and folder:
        parser.error("--where chooses among the runs of an --experiment")
    stray = [word for word in words if "=" not in word and not word.startswith("~")]
    if stray:
        parser.error(f"neither a setting nor the folder: {' '.join(stray)}")
    given["until"], given["after"] = tuple(given["until"]), tuple(given["after"])
    return Options(folder=folder, settings=tuple(words), **given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ftbench.watch",
        usage="%(prog)s [options] (FOLDER | --experiment NAME) SETTING=VALUE ...",
        description=_DESCRIPTION,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("words", nargs="*", metavar="FOLDER or SETTING=VALUE", help=argparse.SUPPRESS)
    add("--once", action="store_true", help="evaluate what is there now, then end")
    add("--check", action="store_true", help="check the settings, and do nothing else")
    _add_source_options(parser)
    _add_pace_options(parser)
    add("--state", type=Path, metavar="DIR", help="where the watcher keeps its ledger and logs; "
        "default: FOLDER/_ftbench, for an experiment ftbench's cache")  # fmt: skip
    add("--config-dir", metavar="DIR", help="handed on: a folder of options of your own")
    add("--config-name", metavar="NAME", help="handed on: another primary configuration")
    return parser


def _add_source_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is followed").add_argument
    add("--experiment", metavar="NAME", help="an MLflow experiment's finished runs, not a folder")
    add("--where", metavar="FILTER", default="", help="MLflow's filter of them, 'metrics.loss < 1'")
    add("--tracking-uri", metavar="URI", help="the tracker; the same as tracking.uri=URI")
    add("--since", type=_moment, metavar="WHEN", help="only what was trained since then: now, "
        "2026-11-24T18:00 or seconds since the epoch; now means the first start")  # fmt: skip
    add("--take", choices=(CHECKPOINTS, FINAL, BOTH), default=BOTH, help="checkpoints below the "
        "folder, the final model in it, or both (default)")  # fmt: skip
    add("--every", type=_count, default=0, metavar="N", help="only checkpoints whose step is a "
        "multiple of N")  # fmt: skip
    add("--only-marked", action="store_true", help="only folders with an ftbench_training.json")


def _add_pace_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("when").add_argument
    add("--until-exit-of", dest="until", type=_process, action="append", default=[], metavar="PID",
        help="end when this process has ended and everything is evaluated; PID or PID:START, the "
        "start time of /proc/PID/stat; may be repeated")  # fmt: skip
    add("--after-exit-of", dest="after", type=_process, action="append", default=[], metavar="PID",
        help="the same, and evaluate nothing before it has ended (it holds the GPU)")  # fmt: skip
    add("--poll", dest="poll_s", type=_seconds, default=10.0, metavar="SECONDS",
        help="between two looks; default: 10")  # fmt: skip
    add("--settle", dest="settle_s", type=_seconds, default=30.0, metavar="SECONDS",
        help="a folder without ftbench_training.json is complete when its files fit their headers "
        "and have not changed for so long; default: 30")  # fmt: skip
    add("--retries", type=_count, default=2, metavar="N", help="further tries of a failed "
        "evaluation; default: 2")  # fmt: skip
    add("--retry-pause", dest="retry_pause_s", type=_seconds, default=60.0, metavar="SECONDS",
        help="before the first of them, twice as long before each next; default: 60")  # fmt: skip
    add("--retry-failed", action="store_true", help="try again what an earlier watcher gave up")


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text}: seconds, 0 or more")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text}: 0 or more")
    return value


def _process(text: str) -> ProcessId:
    try:
        return parse_process(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: PID or PID:START") from None


def _moment(text: str) -> float | str:
    if text == NOW:
        return NOW
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        message = f"{text}: now, 2026-11-24T18:00 or seconds since the epoch"
        raise argparse.ArgumentTypeError(message) from None
