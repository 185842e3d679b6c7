"""When the adapter's effect is checked in an evaluation, and where what was found is kept.

``canary.py`` asks, ``merge.py`` compares weights; here their findings reach the result, also when
they end it, and a resumed run that loads no model finds again what the first one saw.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ftbench.canary_words import canary_sentence
from ftbench.schema import Canary, from_json
from ftbench_eval.canary import NoEffect, check_adapter
from ftbench_eval.model_config import ModelDecision
from ftbench_eval.model_load import LoadedModel
from ftbench_eval.output import Output
from ftbench_eval.progress import Progress
from ftbench_eval.settings import Settings
from ftbench_eval.stream.journal import Journal
from ftbench_eval.stream.stream import ModelGone

CANARY = "canary"
"""Name of the finding among the journal's facts."""


class EffectCheck:
    """Checks the adapter of one evaluation.

    Args:
        progress: Receives what was found, among the facts of the model.
        output: Says it in a line.
    """

    def __init__(self, settings: Settings, progress: Progress, output: Output) -> None:
        self._settings = settings
        self._progress = progress
        self._output = output
        self._is_shown = False

    @property
    def unasked(self) -> Canary | None:
        """What the result says before anything is asked."""
        is_off = self._settings.adapter is not None and not self._settings.canary
        return Canary(skipped="canary=false") if is_off else None

    def adapter(self, decision: ModelDecision) -> Path | None:
        """The adapter that answers have to show; None where there is none, or it is merged."""
        settings = self._settings
        return settings.adapter if settings.canary and not decision.merge_because else None

    def shown_by(self, model: LoadedModel, decision: ModelDecision) -> LoadedModel:
        """Asks the model in this process, once.

        Raises:
            NoEffect: The adapter changes nothing.
        """
        adapter = self.adapter(decision)
        if adapter is not None and not self._is_shown:
            with self.noted():
                self.note(check_adapter(model.wrappers, adapter, self._settings.use_vllm))
            self._is_shown = True
        return model

    def note(self, canary: Canary | None) -> None:
        """Keeps and says what was found; None: nothing was."""
        if canary is not None:
            facts = replace(self._progress.result.model, canary=canary)
            self._progress.update(model=facts)
            self._output.say(f"ftbench: {canary_sentence(canary)}")

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Notes what was measured of an adapter without effect, which then ends the evaluation."""
        try:
            yield
        except (NoEffect, ModelGone) as exc:
            self.note(exc.canary)
            raise

    def recall(self, journal: Journal) -> None:
        """Finds again what was seen when the answers that are there were asked."""
        kept = journal.facts.get(CANARY)
        if kept:
            facts = replace(self._progress.result.model, canary=from_json(Canary, kept))
            self._progress.update(model=facts)
