"""``python -m ftbench.watch FOLDER datasets=[mmlu,gsm8k]``: evaluates checkpoints as they come."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ftbench.checkpoint.kept import OWN_FOLDER
from ftbench.errors import EXIT_OK, FtbenchError, LaunchError, Problem
from ftbench.host import Host, read_host
from ftbench.schema import write_atomically
from ftbench.uris import strip_credentials
from ftbench.watch.candidates import Source
from ftbench.watch.evaluation import Evaluator
from ftbench.watch.experiment import ExperimentSource
from ftbench.watch.folder import FolderSource, Selection
from ftbench.watch.following import Follower, Policy, Tally
from ftbench.watch.ledger import Ledger
from ftbench.watch.lock import held
from ftbench.watch.options import NOW, Options, parse_options
from ftbench.watch.processes import is_alive
from ftbench.watch.readiness import Readiness
from ftbench.watch.settings import Settings, check_settings
from ftbench.watch.stopping import Stop

EXIT_INTERRUPTED = 130
EXIT_SOME_FAILED = 100
_MAX_EXIT = 125


def main(arguments: Sequence[str] | None = None) -> int:
    """Watches until it is over.

    Returns:
        The exit code that ``--help`` describes.
    """
    options = parse_options(arguments)
    try:
        with Stop().listening() as stop:
            return _watch(options, read_host(), stop, arguments)
    except FtbenchError as exc:
        print(exc, file=sys.stderr)
        return exc.exit_code


def _watch(options: Options, host: Host, stop: Stop, arguments: Sequence[str] | None) -> int:
    settings = check_settings(options, host)
    if options.check:
        return EXIT_OK
    folder = host.path(options.folder).absolute() if options.folder else None
    if folder is not None and not _wait_for_folder(folder, options, stop):
        return EXIT_INTERRUPTED if stop.is_asked and options.has_end else EXIT_OK
    state = _state_folder(options, settings, host, folder)
    with held(state, options.has_end, bool(options.until or options.after), stop, say) as is_held:
        if not is_held:
            return EXIT_INTERRUPTED
        write_atomically(state / "settings.json", json.dumps(settings.identity, indent=1))
        ledger = Ledger(state / "ledger.jsonl")
        for key in ledger.failed_keys() if options.retry_failed else []:
            ledger.try_again(key)
        say(f"following {folder or f'experiment {options.experiment} of {settings.tracking_uri}'}")
        source = _source(options, settings, host, folder, _since(options, ledger))
        tally = Follower(
            source, _evaluator(settings, host, state), ledger, _policy(options), stop, say
        ).follow()
    return _end(tally, options, arguments)


def say(text: str) -> None:
    """Prints a line with the time of day, at once."""
    print(time.strftime("[%H:%M:%S] ") + strip_credentials(text)[0], flush=True)


def _wait_for_folder(folder: Path, options: Options, stop: Stop) -> bool:
    """Waits for a folder that training has yet to make; False when it need not be waited for.

    Raises:
        LaunchError: It is no folder, or it is not there although it should be.
    """
    if folder.exists() and not folder.is_dir():
        raise LaunchError(Problem(str(folder), "it is a file", f"follow {folder.parent}"))
    if options.once and not folder.exists():
        raise LaunchError(Problem(str(folder), "there is no such folder", "leave --once out"))
    if not folder.exists():
        say(f"waiting for {folder}, which is not there yet")
    processes = (*options.until, *options.after)
    while not stop.is_asked:
        has_ended = bool(processes) and not any(map(is_alive, processes))
        if folder.is_dir():
            return True
        if has_ended:
            say("training has ended without it")
            return False
        stop.sleep(min(options.poll_s, 1.0))
    return False


def _state_folder(options: Options, settings: Settings, host: Host, folder: Path | None) -> Path:
    if options.state is not None:
        parent = host.path(options.state).absolute()
    else:
        parent = folder / OWN_FOLDER if folder else host.cache_dir / "watch"
    return parent / f"watch-{settings.digest}"


def _since(options: Options, ledger: Ledger) -> float:
    """The moment from which training counts; ``now`` is that of the first start."""
    if options.since != NOW:
        return float(options.since or 0)
    if ledger.since is None:
        ledger.keep_since(time.time())
    return ledger.since or 0.0


def _source(
    options: Options, settings: Settings, host: Host, folder: Path | None, since: float
) -> Source:
    readiness = Readiness(options.settle_s)
    cache = host.cache_dir / "hashes.json"
    if folder is None:
        uri, name = settings.tracking_uri, options.experiment or ""
        return ExperimentSource(
            uri, name, options.where, since, readiness, cache, not options.has_end, say
        )
    selection = Selection(options.take, options.only_marked, options.every, since)
    follows_process = bool(options.until or options.after)
    return FolderSource(folder, selection, readiness, cache, follows_process, say)


def _policy(options: Options) -> Policy:
    return Policy(
        once=options.once,
        poll_s=options.poll_s,
        retries=options.retries,
        retry_pause_s=options.retry_pause_s,
        until=options.until,
        after=options.after,
    )


def _evaluator(settings: Settings, host: Host, state: Path) -> Evaluator:
    return Evaluator(
        command=(sys.executable, "-m", "ftbench.run", *settings.arguments),
        cwd=host.cwd,
        # Lines reach the log as they are written.
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        logs=state / "logs",
        on_line=lambda name, line: print(f"{name} | {line}", flush=True),
    )


def _end(tally: Tally, options: Options, arguments: Sequence[str] | None) -> int:
    failed = f"; not evaluated: {', '.join(tally.failed)}" if tally.failed else ""
    failed += f"; the gate refused: {', '.join(tally.refused)}" if tally.refused else ""
    say(f"{len(tally.evaluated)} evaluated{failed}")
    if tally.was_stopped:
        words = sys.argv[1:] if arguments is None else arguments
        again = shlex.join(strip_credentials(word)[0] for word in words)
        say(f"stopped; the same command goes on: python -m ftbench.watch {again}")
        return EXIT_INTERRUPTED if options.has_end else EXIT_OK
    not_well = len(tally.failed) + len(tally.refused)
    return min(EXIT_SOME_FAILED + not_well, _MAX_EXIT) if not_well else EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
