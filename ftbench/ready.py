"""What a plan is made from: the model found, the datasets chosen, and everything brought here.

Downloads the base model and the data that are not on this machine; starts nothing.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console

from ftbench import data
from ftbench.catalogue import load_catalogue
from ftbench.choosing import Chosen, choose_datasets
from ftbench.config import Config
from ftbench.errors import Problem
from ftbench.host import Host
from ftbench.judge import ask_judge, find_problems, uses_judge
from ftbench.model_source import ModelSource, download_base, locate_model
from ftbench.plan import Plan
from ftbench.planning import make_plan
from ftbench.printing import say
from ftbench.resolved import refuse_secrets
from ftbench.workspace import FoundRun, find_run

Locate = Callable[..., ModelSource]
"""``locate_model``, or what stands in for it while the model is yet to be trained."""


@dataclass(frozen=True)
class Ready:
    """What a plan is made from.

    Attributes:
        access: Where data of the datasets comes from.
        refused: What is wrong with judge and services, as far as it shows without asking anyone.
    """

    config: Config
    host: Host
    source: ModelSource
    chosen: Chosen
    access: data.Access
    refused: Sequence[Problem]

    def plan(self) -> Plan:
        return make_plan(self.config, self.host, self.source, self.chosen, time.time())

    def plan_again(self, plan: Plan) -> Plan:
        """The plan, made anew where another process has used its folder, or left one, since.

        Side effects: creates the folder of a new run. Of two jobs of a sweep with one workspace
            that start in the same second, one gets the name.
        """
        # Another evaluation of this model may have finished some of the datasets since.
        plan = self.plan()
        while (found := self.found(plan)) is None:
            try:
                plan.run_dir.mkdir(parents=True)
                return plan
            except FileExistsError:
                plan = self.plan()
            except OSError:
                return plan  # whoever claims the folder says what is wrong
        return plan if found.run_dir == plan.run_dir else self.plan()

    @property
    def may_reuse(self) -> bool:
        return self.config.reuse == "auto"

    def found(self, plan: Plan) -> FoundRun | None:
        return find_run(plan.workspace, plan.fingerprint) if self.may_reuse else None

    def asked(self, plan: Plan) -> Ready:
        """The same for what is to be evaluated: what is taken over needs no judge any more."""
        chosen = self.chosen.only(d.name for d in plan.datasets if d.earlier is None)
        return dataclasses.replace(self, chosen=chosen, refused=find_problems(self.config, chosen))

    def reuse_notes(self, plan: Plan) -> list[str]:
        """Where else a launch would look for finished datasets; a dry run asks no tracker."""
        found = self.found(plan)
        left = [d.name for d in plan.datasets if d.earlier is None]
        if not left or not self.may_reuse or (found and found.is_complete):
            return []
        if plan.tracking.kind == "none":
            return []
        return [f"a launch would first look for {', '.join(left)} in {plan.tracking.uri}"]

    def judge_problems(self) -> Sequence[Problem]:
        if self.refused or not uses_judge(self.config, self.chosen):
            return self.refused
        return ask_judge(self.config, self.host)


def make_ready(
    config: Config, host: Host, console: Console, locate: Locate = locate_model
) -> Ready:
    """Finds the model and the datasets, and brings what is not on this machine.

    Args:
        config: A checked configuration.
        host: The surroundings.
        console: Where downloads show their progress.
        locate: Finds the model.

    Raises:
        ConfigError: A dataset name is unknown, or a setting holds a secret.

    Side effects: downloads, where nothing is wrong that can be known and it is no ``dry_run``.
    """
    refuse_secrets(config, host)
    catalogue = load_catalogue()
    chosen = choose_datasets(config, host, catalogue)
    refused = find_problems(config, chosen)
    may_download = bool(chosen.datasets) and not (config.dry_run or refused)
    source = _find_model(config, host, console, may_download, locate)
    access = data.Access(host, chosen.data_dir, catalogue.downloads, config.download)
    # Before the plan: its fingerprint holds the data.
    chosen = _bring_data(chosen, access, console, may_download and not source.problems)
    return Ready(config, host, source, chosen, access, refused)


def _find_model(
    config: Config, host: Host, console: Console, may_download: bool, locate: Locate
) -> ModelSource:
    source = locate(config.model, host)
    if source.must_be_downloaded and may_download:
        say(console, f"downloading {source.base}")
        problems = download_base(source, host)
        if problems:
            return dataclasses.replace(source, problems=(*source.problems, *problems))
        source = locate(config.model, host, may_download=False)
    return source


def _bring_data(
    chosen: Chosen, access: data.Access, console: Console, may_download: bool
) -> Chosen:
    if not chosen.missing or not may_download:
        problems = data.obstacles(chosen.missing, access)
        return dataclasses.replace(chosen, problems=tuple(problems))
    folder = data.gather(chosen.sources, chosen.data_dir, access.host)
    access = dataclasses.replace(access, data_dir=folder)
    fetched = data.fetch(chosen.sources, access, console)
    missing = data.still_missing(fetched, access)
    problems = [item.problem for item in fetched if item.problem]
    return dataclasses.replace(
        chosen, data_dir=folder, missing=tuple(missing), problems=tuple(problems)
    )
