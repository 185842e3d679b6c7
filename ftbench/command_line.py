"""The Hydra edge: arguments in, exit code out; single runs and sweeps."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from ftbench.adapter_lists import expand_lists
from ftbench.compose import (
    COMPOSE_ERRORS,
    check_sweep,
    compose_config,
    find_setting,
    override,
    plan_sweep,
    register_schema,
    to_config,
)
from ftbench.config_checks import HELP, closest_key
from ftbench.dataset_options import in_hydras_words
from ftbench.errors import EXIT_CONFIG, EXIT_LAUNCH, ConfigError, FtbenchError, Problem
from ftbench.explain import explain
from ftbench.host import read_host
from ftbench.launchers import register_resolvers
from ftbench.null_adapter import base_for_null
from ftbench.outcome import Outcome
from ftbench.paths import conf_dir
from ftbench.plan import TrackingPlan
from ftbench.planning import plan_tracking
from ftbench.printing import say
from ftbench.process import stop_on_signals
from ftbench.sweep import Job, Sweep, is_base_of_others, read_sweep
from ftbench.sweep_driver import announce, conclude, running_sweep
from ftbench.tracking import export_credentials
from ftbench.training_command import without_secrets
from ftbench.training_link import link_training

EXIT_INTERRUPTED = 130

_HYDRA_FLAGS = ("hydra_help", "shell_completion", "cfg", "info")


def run_command() -> None:
    """Runs what ``sys.argv`` says and exits; never returns."""
    # Hydra would print its own short error and exit 1; ftbench prints a better one.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    register_schema()
    register_resolvers()
    try:
        # Hydra prints settings and writes them into a sweep's folder: no password is among them.
        sys.argv[1:] = [_without_credentials(argument) for argument in sys.argv[1:]]
        host = read_host()
        command = without_secrets(host.command, host.secrets.values())
        sys.argv[1:] = flags_first(sys.argv[1:])
        args = get_args_parser().parse_args(sys.argv[1:])
        is_shown = any(getattr(args, flag) for flag in _HYDRA_FLAGS)
        if not is_shown:
            sys.argv[1:] = _checked(sys.argv[1:])
        is_sweep = _is_sweep(args) and not is_shown
        code = _run_sweep(command) if is_sweep else _run_hydra(_single)
    except FtbenchError as exc:
        _print_error(exc)
        code = exc.exit_code
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except COMPOSE_ERRORS as exc:
        overrides = get_args_parser().parse_args(sys.argv[1:]).overrides
        _print_error(ConfigError(explain(" ".join(overrides), exc)))
        code = EXIT_CONFIG
    sys.exit(code)


def _run_hydra(task: Callable[[DictConfig, list[int]], None]) -> int:
    """Hands over to Hydra, which calls the task once per job.

    Returns:
        The exit code that the task left; 0 when it ran elsewhere, or not at all.
    """
    codes: list[int] = []
    sys.argv[1:] = list(map(in_hydras_words, sys.argv[1:]))
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(
        lambda cfg: task(cfg, codes)
    )()
    return max(codes, default=0)


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


def _is_sweep(args: argparse.Namespace) -> bool:
    return bool(args.multirun) or "hydra.mode=MULTIRUN" in args.overrides


def _checked(argv: list[str]) -> list[str]:
    """Arguments with lists of adapters spelled out, of which Hydra will accept all.

    Hydra alone stops at the first problem.

    Raises:
        ConfigError: Listing everything that is wrong.
    """
    args = get_args_parser().parse_args(argv)
    config_dir = Path(args.config_dir) if args.config_dir else None
    config_name = args.config_name or "config"
    host = read_host()

    def tracking_uri() -> str:
        given = find_setting("tracking.uri", args.overrides, config_dir, config_name)
        return host.tracking_store(given)

    expanded = expand_lists(args.overrides, _is_sweep(args), host.cwd, tracking_uri)
    for note in expanded.notes:
        _say(note)
    problems = list(expanded.problems)
    settings = list(expanded.arguments)
    try:
        base = base_for_null(settings, host.cwd, tracking_uri)
        if base and not find_setting("model.base", settings, config_dir, config_name):
            settings.append(override("model.base", base))
    except FtbenchError as exc:
        problems += exc.problems
    check = check_sweep if _is_sweep(args) else compose_config
    try:
        check(settings, config_dir, config_name)
    except ConfigError as exc:
        # What was to say the model is among the problems already.
        problems += [p for p in exc.problems if not (problems and p.tried == "model")]
    if problems:
        raise ConfigError(problems)
    flags = [argument for argument in argv if argument not in args.overrides]
    return [*flags, *settings]


def _single(cfg: DictConfig, codes: list[int]) -> None:
    from ftbench.run import evaluate

    try:
        codes.append(evaluate(to_config(cfg)).exit_code)
    except FtbenchError as exc:
        # Hydra would put a line of its own before what leaves the task.
        _print_error(exc)
        codes.append(exc.exit_code)
    except COMPOSE_ERRORS as exc:
        # Composing is over: this is a defect, which must not pass for a wrong configuration.
        raise RuntimeError(f"unexpected: {exc}") from exc


def _run_sweep(command: tuple[str, ...]) -> int:
    """Runs a sweep from its first job to its summary.

    Args:
        command: As the user typed it.
    """
    args = get_args_parser().parse_args(sys.argv[1:])
    config_dir = Path(args.config_dir) if args.config_dir else None
    planned = plan_sweep(args.overrides, config_dir, args.config_name or "config")
    secrets = tuple(read_host().secrets.values())
    wanted = Sweep(
        sweep_id=str(OmegaConf.select(planned.telling, "tracking.sweep_id") or ""),
        folder=planned.folder,
        started_at=time.time(),
        command=command,
        overrides=without_secrets(args.overrides, secrets),
        jobs=tuple(without_secrets(job, secrets) for job in planned.jobs),
        tracking=_sweep_tracking(planned.telling),
        dry_run=bool(OmegaConf.select(planned.telling, "dry_run")),
    )
    given = {override.lstrip("+").partition("=")[0] for override in args.overrides}
    console = Console()
    is_interrupted = is_broken = False
    with running_sweep(wanted, "hydra.sweep.dir" in given) as sweep:
        shared = announce(sweep, console)
        # Of two settings of one key, Hydra takes the last.
        chosen = given - {"hydra.sweep.dir"}
        sys.argv += [override(key, value) for key, value in shared.items() if key not in chosen]
        try:
            with stop_on_signals():
                _run_hydra(_sweep_job)
        except KeyboardInterrupt:
            is_interrupted = True
            say(console, "interrupted; the same command goes on with the sweep")
        except Exception:
            # A launcher that broke down; how far its jobs came is in their files.
            is_broken = True
            Console(stderr=True).print_exception()
        code = conclude(sweep, console)
    if is_broken and not sweep.jobs:
        # Nobody knows how many jobs there would have been.
        code = code or EXIT_LAUNCH
    return EXIT_INTERRUPTED if is_interrupted else code


def _sweep_tracking(telling: DictConfig) -> TrackingPlan:
    """Where a sweep is recorded: where its first job with an adapter is."""
    host = read_host()
    try:
        config = to_config(telling)
        with contextlib.suppress(FtbenchError):
            config = link_training(config, host).config
    except ConfigError:
        return TrackingPlan("none")  # each job says what is wrong with it
    return plan_tracking(config, host)


def _sweep_job(cfg: DictConfig, codes: list[int]) -> None:
    """One job, perhaps in a process of its own; what became of it is in its file."""
    from ftbench.run import evaluate
    from ftbench.sweep_job import run_job

    hydra_cfg, host = HydraConfig.get(), read_host()
    overrides = without_secrets(hydra_cfg.overrides.task, host.secrets.values())
    # In a launcher's own process the command line is the launcher's.
    host = dataclasses.replace(host, command=("python", "-m", "ftbench.run", *overrides))
    folder, number = Path(hydra_cfg.sweep.dir), int(hydra_cfg.job.num)
    job = Job(
        number=number,
        overrides=overrides,
        sweep_id=str(OmegaConf.select(cfg, "tracking.sweep_id") or ""),
    )

    def run() -> Outcome:
        is_base = is_base_of_others(read_sweep(folder), number)
        return evaluate(to_config(cfg), dataclasses.replace(host, is_base_of_sweep=is_base))

    run_job(folder, job, run)


def _say(text: str) -> None:
    say(Console(), text)


def _print_error(error: FtbenchError) -> None:
    say(Console(stderr=True), str(error))
