"""Judge models and services outside: which chosen datasets need one, and what is wrong with it.

Decides from the configuration and the catalogue; only ``ask_judge`` sends a request.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from urllib.parse import urlsplit

from ftbench.choosing import Chosen
from ftbench.config import Config, JudgeConf
from ftbench.errors import Problem
from ftbench.host import Host
from ftbench.judge_client import (
    CUT,
    NO_REPLY,
    REFUSED,
    REJECTED,
    UNKNOWN_MODEL,
    JudgeClient,
    JudgeEndpoint,
    JudgeError,
)
from ftbench.preset import JUDGE, JUDGE_OPTIONAL, Preset
from ftbench.services import OWN_JUDGES, addresses

KEY_NAME = "OC_JUDGE_API_KEY"

_CONFIGURE = "judge.model=NAME judge.api_base=URL, with the key in OC_JUDGE_API_KEY"
_ONE_WORD = "Reply with the letter A."
_FEW_TOKENS = 16
_PATIENCE_S = 20.0
_NUM_NAMES = 5


def endpoint_of(conf: JudgeConf) -> JudgeEndpoint | None:
    """The judge that is configured, or None."""
    if not conf.model or not conf.api_base:
        return None
    return JudgeEndpoint(
        model=conf.model,
        api_base=conf.api_base,
        temperature=conf.temperature,
        max_out_len=conf.max_out_len,
        timeout_s=conf.request_timeout,
        retries=conf.retries,
        concurrency=conf.concurrency,
    )


def uses_judge(config: Config, chosen: Chosen) -> bool:
    """Whether a judge is configured and one of the datasets asks it."""
    judged = any(_may_be_judged(preset) for _, preset in chosen.presets)
    return judged and endpoint_of(config.judge) is not None


def uses_services(config: Config, chosen: Chosen) -> bool:
    """Whether scoring sends answers to a service outside, and may."""
    named = any(addresses(preset.evaluators) for _, preset in chosen.presets)
    return named and config.allow_outside_services


def judge_notes(config: Config, chosen: Chosen) -> list[str]:
    """Which datasets are scored without the judge that would have the last word."""
    if endpoint_of(config.judge) is not None:
        return []
    return [
        f"{name}: rule-only, for no judge is configured; {_CONFIGURE}"
        for name, preset in chosen.presets
        if JUDGE_OPTIONAL in preset.needs and JUDGE not in preset.needs
    ]


def find_problems(config: Config, chosen: Chosen) -> list[Problem]:
    """What is wrong with judge and services, as far as it shows without asking anyone."""
    problems = [
        problem
        for name, preset in chosen.presets
        for problem in (
            _judge_problem(name, preset, config),
            _service_problem(name, preset, config),
        )
        if problem is not None
    ]
    return problems + _network_problems(config, chosen)


def ask_judge(config: Config, host: Host) -> list[Problem]:
    """Asks the judge one word.

    Side effects: one short request, and another for the names of the models when that fails.
    """
    endpoint = endpoint_of(config.judge)
    assert endpoint is not None
    hurried = replace(endpoint, timeout_s=min(endpoint.timeout_s, _PATIENCE_S))
    client = JudgeClient(hurried, host.secrets.get(KEY_NAME, "").strip())
    try:
        client.ask_once([{"role": "user", "content": _ONE_WORD}], _FEW_TOKENS)
    except JudgeError as exc:
        # A model that thinks first is cut before it says anything; then it is there.
        if exc.kind in (NO_REPLY, CUT):
            return []
        return [_judge_error(endpoint, exc, client)]
    return []


def _may_be_judged(preset: Preset) -> bool:
    return bool({JUDGE, JUDGE_OPTIONAL} & set(preset.needs))


def _judge_problem(name: str, preset: Preset, config: Config) -> Problem | None:
    if JUDGE not in preset.needs:
        return None
    own = [evaluator for evaluator in preset.evaluators if evaluator in OWN_JUDGES]
    if own:
        happened = (
            f"its evaluator {own[0]} asks a judge in a way of its own, which is not supported"
        )
        return Problem(f"datasets: '{name}'", happened, f"python -m ftbench.datasets show {name}")
    if endpoint_of(config.judge) is None:
        happened = "a judge model scores it, and none is configured"
        return Problem(f"datasets: '{name}'", happened, _CONFIGURE)
    return None


def _service_problem(name: str, preset: Preset, config: Config) -> Problem | None:
    where = addresses(preset.evaluators)
    if not where or config.allow_outside_services:
        return None
    return Problem(
        f"datasets: '{name}'",
        f"its scoring sends what the model wrote to {' and '.join(where)}",
        "allow_outside_services=true, if that may be",
    )


def _network_problems(config: Config, chosen: Chosen) -> list[Problem]:
    """A container that could not reach what scores."""
    runtime, problems = config.runtime, []
    if runtime.name != "docker":
        return []
    judged = uses_judge(config, chosen)
    if runtime.network == "none" and (judged or uses_services(config, chosen)):
        who = "the judge" if judged else "the service that scores"
        happened = f"the container cannot reach {who}"
        problems.append(Problem("runtime.network=none", happened, "runtime.network=auto"))
    elif judged and runtime.network != "host" and is_loopback(config.judge.api_base or ""):
        problems.append(
            Problem(
                f"judge.api_base={config.judge.api_base}",
                "inside a container this address is the container itself",
                "runtime.network=host, or this machine's name in judge.api_base",
            )
        )
    return problems


def is_loopback(url: str) -> bool:
    """Whether a URL leads to the machine that looks it up."""
    name = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _judge_error(endpoint: JudgeEndpoint, error: JudgeError, client: JudgeClient) -> Problem:
    where = f"judge.api_base={endpoint.api_base}"
    if error.kind == REFUSED:
        key = "the key in" if client.key else "no key is in"
        happened = f"it refuses us, {key} {KEY_NAME}: {error}"
        return Problem(where, happened, f"export {KEY_NAME}=...")
    if error.kind == UNKNOWN_MODEL:
        known = _known_models(client)
        names = f"judge.model= one of {', '.join(known[:_NUM_NAMES])}" if known else ""
        happened = f"it does not know this model or address: {error}"
        return Problem(f"judge.model={endpoint.model} at {endpoint.api_base}", happened, names)
    if error.kind == REJECTED:
        return Problem(where, f"it rejects a short question: {error}", "judge.* as it needs them")
    return Problem(where, f"it does not answer: {error}", "start it, or mend the address")


def _known_models(client: JudgeClient) -> list[str]:
    try:
        return sorted(client.models())
    except JudgeError:
        return []
