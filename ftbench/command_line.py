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

from ftbench.compose import COMPOSE_ERRORS, compose_config, explain, register_schema, to_config
from ftbench.errors import EXIT_CONFIG, ConfigError, FtbenchError
from ftbench.paths import conf_dir

EXIT_INTERRUPTED = 130

_HYDRA_FLAGS = ("hydra_help", "shell_completion", "cfg", "info", "multirun")


class JobFailed(Exception):
    """One job of a sweep did not end well; what went wrong is printed already."""


def run_command() -> None:
    """Runs what ``sys.argv`` says and exits; never returns."""
    # Hydra would print its own short error and exit 1; ftbench prints a better one.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    register_schema()
    codes: list[int] = []
    try:
        _check_first(sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(
            lambda cfg: _job(cfg, codes)
        )()
    except FtbenchError as exc:
        _print_error(exc)
        codes.append(exc.exit_code)
    except JobFailed:
        pass
    except KeyboardInterrupt:
        codes.append(EXIT_INTERRUPTED)
    except COMPOSE_ERRORS as exc:
        _print_error(ConfigError(explain(" ".join(sys.argv[1:]), exc)))
        codes.append(EXIT_CONFIG)
    sys.exit(max(codes, default=0))


def _check_first(argv: list[str]) -> None:
    """Composes a single run by itself first: Hydra alone stops at the first problem."""
    args = get_args_parser().parse_args(argv)
    if any(getattr(args, flag) for flag in _HYDRA_FLAGS):
        return
    config_dir = Path(args.config_dir) if args.config_dir else None
    compose_config(args.overrides, config_dir, args.config_name or "config")


def _job(cfg: DictConfig, codes: list[int]) -> None:
    from ftbench.run import evaluate

    try:
        code = evaluate(to_config(cfg)).exit_code
    except FtbenchError as exc:
        _print_error(exc)
        code = exc.exit_code
    codes.append(code)
    if code and HydraConfig.get().mode == RunMode.MULTIRUN:
        # A launcher knows that a job failed by its exception alone; the others go on.
        raise JobFailed(f"exit code {code}")


def _print_error(error: FtbenchError) -> None:
    Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
