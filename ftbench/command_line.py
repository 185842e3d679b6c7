"""The Hydra edge: arguments in, exit code out; single runs and sweeps."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from ftbench.compose import (
    COMPOSE_ERRORS,
    check_sweep,
    compose_config,
    register_schema,
    to_config,
)
from ftbench.config_checks import HELP, closest_key
from ftbench.dataset_options import in_hydras_words
from ftbench.errors import EXIT_CONFIG, ConfigError, FtbenchError, Problem
from ftbench.explain import explain
from ftbench.launchers import register_resolvers
from ftbench.paths import conf_dir
from ftbench.tracking import export_credentials

EXIT_BUG = 1

EXIT_INTERRUPTED = 130

_HYDRA_FLAGS = ("hydra_help", "shell_completion", "cfg", "info")


class JobFailed(Exception):
    """One job of a sweep did not end well; what went wrong is printed already.

    Args:
        exit_code: The job's. It outlives the way back from a launcher's own process.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def run_command() -> None:
    """Runs what ``sys.argv`` says and exits; never returns."""
    # Hydra would print its own short error and exit 1; ftbench prints a better one.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    register_schema()
    register_resolvers()
    codes: list[int] = []
    try:
        # Hydra prints settings and writes them into a sweep's folder: no password is among them.
        sys.argv[1:] = [_without_credentials(argument) for argument in sys.argv[1:]]
        sys.argv[1:] = flags_first(sys.argv[1:])
        _check_first(sys.argv[1:])
        sys.argv[1:] = list(map(in_hydras_words, sys.argv[1:]))
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(
            lambda cfg: _job(cfg, codes)
        )()
    except FtbenchError as exc:
        _print_error(exc)
        codes.append(exc.exit_code)
    except JobFailed as exc:
        # Of jobs that a launcher runs in other processes, only the first failure comes back.
        codes = codes or [exc.exit_code]
    except KeyboardInterrupt:
        codes = codes if EXIT_INTERRUPTED in codes else [*codes, EXIT_INTERRUPTED]
    except COMPOSE_ERRORS as exc:
        overrides = get_args_parser().parse_args(sys.argv[1:]).overrides
        _print_error(ConfigError(explain(" ".join(overrides), exc)))
        codes.append(EXIT_CONFIG)
    if len(codes) > 1:
        print(_sweep_summary(codes))
    sys.exit(max(codes, default=0))


def _without_credentials(argument: str) -> str:
    is_uri = argument.lstrip("+").startswith("tracking.uri=")
    return export_credentials(argument) if is_uri else argument


def flags_first(argv: list[str]) -> list[str]:
    """Arguments with Hydra's flags before the settings: behind them, its parser rejects settings.

    Raises:
        ConfigError: For flags that there are not.
    """
    args, rest = get_args_parser().parse_known_args(argv)
    problems = []
    for flag in (argument for argument in rest if argument.startswith("-")):
        key, _, value = flag.lstrip("-").replace("-", "_").partition("=")
        hint = closest_key(key).replace("'?", f"={value or 'VALUE'}'?")
        problems.append(Problem(flag, f"there is no such flag{hint}", HELP))
    if problems:
        raise ConfigError(problems)
    settings = [*args.overrides, *rest]
    return [*(argument for argument in argv if argument not in settings), *settings]


def _check_first(argv: list[str]) -> None:
    """Composes by itself first: Hydra alone stops at the first problem."""
    args = get_args_parser().parse_args(argv)
    if any(getattr(args, flag) for flag in _HYDRA_FLAGS):
        return
    config_dir = Path(args.config_dir) if args.config_dir else None
    is_sweep = args.multirun or "hydra.mode=MULTIRUN" in args.overrides
    check = check_sweep if is_sweep else compose_config
    check(args.overrides, config_dir, args.config_name or "config")


def _sweep_summary(codes: list[int]) -> str:
    """One line on jobs that ran in this process; Hydra's own last words name the first failure."""
    failed = [f"#{job} (exit code {code})" for job, code in enumerate(codes) if code]
    text = f"Sweep: {len(codes) - len(failed)} of {len(codes)} jobs are complete"
    return f"{text}; not complete: {', '.join(failed)}" if failed else text


def _job(cfg: DictConfig, codes: list[int]) -> None:
    from ftbench.run import evaluate

    code = EXIT_BUG
    try:
        code = evaluate(to_config(cfg)).exit_code
    except FtbenchError as exc:
        _print_error(exc)
        code = exc.exit_code
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
        raise
    except COMPOSE_ERRORS as exc:
        # Composing is over: this is a defect, which must not pass for a wrong configuration.
        raise RuntimeError(f"unexpected: {exc}") from exc
    finally:
        codes.append(code)
    if not code or HydraConfig.get().mode != RunMode.MULTIRUN:
        return
    if code == EXIT_INTERRUPTED:
        raise KeyboardInterrupt  # who stops a job means the whole sweep
    # A launcher knows that a job failed by its exception alone; the others go on.
    raise JobFailed(code)


def _print_error(error: FtbenchError) -> None:
    Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
