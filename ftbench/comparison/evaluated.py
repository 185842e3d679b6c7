"""One benchmark run as a comparison needs it, wherever it was read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ftbench.comparison.answers import Answers
from ftbench.comparison.comparable import asked
from ftbench.comparison.fitting import Facts, base_of
from ftbench.schema import DatasetResult, Result


@dataclass(frozen=True)
class Evaluated:
    """One benchmark run.

    Attributes:
        key: MLflow run id, or the run folder's absolute path.
        run_id: MLflow run id; of a folder that of its last recording, empty where there is none.
        run_dir: Absolute path of the run folder, where it lies or lay; empty when unknown.
        name: The run's name, which people may have changed.
        model: The model as people call it: the adapter's folder, or the base model's name.
        setting: How it was asked, such as ``greedy, first 8``.
        base_model: Hugging Face id or path.
        base_identity: Identity of the base model's bytes; empty when unknown.
        is_base: No adapter was evaluated.
        params: What was asked for, flat (``backend.temperature``), with the adapter's own
            parameters (``adapter.r``) and the training run's (``train.learning_rate``).
        command: The command line that evaluates the same again; empty when unknown.
        step: Global step of the checkpoint; None when unknown.
        link: Page of the run in MLflow; empty for a folder, and where no server shows one.
        model_link: Page of its LoggedModel.
        training_name, training_link: Of the run that trained it; empty when unknown.
        started_ms: Start of the evaluation, in milliseconds since the epoch.
        tracking_uri: Of the tracker that it was read from, without credentials; empty for a folder.
        answers: Reads its single answers when they are needed; None where nobody can.
    """

    key: str
    name: str
    model: str
    setting: str
    base_model: str
    is_base: bool
    result: Result
    base_identity: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    step: int | None = None
    link: str = ""
    model_link: str = ""
    training_name: str = ""
    training_link: str = ""
    started_ms: int = 0
    tracking_uri: str = ""
    run_id: str = ""
    run_dir: str = ""
    answers: Answers | None = field(default=None, repr=False, compare=False)

    @property
    def short_key(self) -> str:
        """A few characters that tell it from others of its name."""
        return self.key.rpartition("/")[2] if "/" in self.key else self.key[:8]

    def dataset(self, name: str) -> DatasetResult | None:
        """Its result of a dataset; None where it was not evaluated."""
        return next((d for d in self.result.datasets if d.name == name), None)

    @property
    def facts(self) -> Facts:
        """What decides what it can be compared with."""
        own = {
            "setting": self.setting,
            "base_model": self.base_model,
            "base_identity": self.base_identity,
        }
        return Facts(
            self.is_base,
            {**self.params, **own},
            {dataset.name: asked(dataset) for dataset in self.result.datasets},
            self.started_ms,
        )

    def has_base_of(self, other: Evaluated) -> bool:
        """Whether both stand on the same base model."""
        return base_of(self.facts.params) == base_of(other.facts.params)
