"""One evaluation, step by step; each step leaves its trace in ``progress.json``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ftbench.catalogue import load_catalogue
from ftbench.judge_client import JudgeClient
from ftbench.schema import (
    FAILED,
    ModelFacts,
    Reason,
    RunFiles,
)
from ftbench.services import addresses
from ftbench_eval import confinement
from ftbench_eval.built import BuiltDatasets, name_datasets_at_random
from ftbench_eval.checks import Checked, check
from ftbench_eval.collecting import Collector
from ftbench_eval.effect_check import EffectCheck
from ftbench_eval.hardware import hardware
from ftbench_eval.hub_data import load_from_snapshots
from ftbench_eval.inference import Inference
from ftbench_eval.judged import lacks_verdicts
from ftbench_eval.judging import class_name, forget_transcripts
from ftbench_eval.merge import merge_adapter
from ftbench_eval.model_config import ModelDecision, decide
from ftbench_eval.model_files import ModelFiles, read_model_files
from ftbench_eval.model_load import LoadedModel, check_gpus, load_model
from ftbench_eval.opencompass_config import build_config, use_real_python_root, write_config
from ftbench_eval.output import Output
from ftbench_eval.parallel.choice import Asked, Need, Parallel, choose_parallel
from ftbench_eval.parallel.copies import Copies, copy_in_here, start_copies
from ftbench_eval.parallel.sizes import gpu_memory, measure_need
from ftbench_eval.parallel.worker import Ready
from ftbench_eval.pending import judge_notes, pending_results, versions
from ftbench_eval.presets import Chosen, Subset, choose
from ftbench_eval.progress import Progress
from ftbench_eval.resume import read_json, repair
from ftbench_eval.scoring import Scorer
from ftbench_eval.secret_files import loading_secrets, read_secret
from ftbench_eval.settings import STREAM, Settings
from ftbench_eval.stream.journal import NAME as JOURNAL
from ftbench_eval.stream.journal import Journal


@dataclass
class Evaluation:
    """Holds what the steps share.

    Attributes:
        scratch: Folder that is removed at the end.
        seconds: Inference seconds by subset, of an interrupted run of the same evaluation.
    """

    settings: Settings
    files: RunFiles
    progress: Progress
    output: Output
    scratch: Path
    seconds: dict[str, float]
    _scorer: Scorer | None = field(default=None, init=False)
    _built: BuiltDatasets = field(default_factory=BuiltDatasets, init=False)
    _model: LoadedModel | None = field(default=None, init=False)
    _parallel: Parallel = field(default=Parallel(1, 0), init=False)
    _effect: EffectCheck = field(init=False)

    def __post_init__(self) -> None:
        self._effect = EffectCheck(self.settings, self.progress, self.output)

    def run(self) -> None:
        """Evaluates every dataset; what goes wrong with one of them is data, not an exception.

        Raises:
            Refused: The model cannot be evaluated as asked.
            Exception: The model did not load.
        """
        use_real_python_root()
        load_from_snapshots(os.environ)
        name_datasets_at_random()
        self._built.serve_inference()
        with loading_secrets(self.settings.secrets_folder, os.environ):
            settings = self.settings
            chosen = choose(
                settings.datasets,
                load_catalogue(),
                settings.options,
                settings.files,
                has_judge=settings.judge is not None,
            )
            pending = pending_results(chosen, settings.judge.model if settings.judge else "")
            self.progress.update(
                versions=versions(),
                datasets=pending,
                hardware=hardware(settings.num_gpus, os.environ),
            )
            for item in chosen:
                if item.reason is not None:
                    self.output.say(f"{item.name}: failed: {item.reason.message}")
            model_files, decision = self._decide_model(chosen)
            ready = self._check_datasets(chosen, decision)
            if ready:
                config = self._write_config(decision, ready)
                self._score_all(config, ready, model_files, decision)

    def kill(self) -> None:
        """Kills every scoring process."""
        if self._scorer is not None:
            self._scorer.kill()

    def _decide_model(self, chosen: Sequence[Chosen]) -> tuple[ModelFiles, ModelDecision]:
        check_gpus(self.settings.num_gpus)
        files = read_model_files(self.settings)
        roles = {subset.role for item in chosen for subset in item.subsets}
        self._parallel = self._choose_parallel()
        merged = self.scratch / "merged"
        decision = decide(self.settings, files, roles, merged, self._parallel.tensor)
        types = {config["type"].rpartition(".")[2] for config in decision.configs.values()}
        facts = ModelFacts(
            opencompass_type=", ".join(sorted(types)),
            chat_template=decision.chat_template,
            merged=bool(decision.merge_because),
            parallel=self._parallel.words,
            canary=self._effect.unasked,
            notes=decision.notes
            + ((self._parallel.why,) if self._parallel.why else ())
            + judge_notes(chosen)
            + self._repeat_notes(chosen)
            + confinement.notes(s.preset for item in chosen for s in item.subsets),
        )
        self.progress.update(model=facts)
        return files, decision

    def _choose_parallel(self) -> Parallel:
        settings = self.settings
        asked = Asked(
            settings.num_gpus,
            settings.data_parallel,
            settings.tensor_parallel,
            settings.use_vllm,
            settings.gpu_memory_utilization,
            settings.order == STREAM,
        )
        if settings.num_gpus < 2:
            return choose_parallel(asked, Need(None, 0, 0, 1), ())
        return choose_parallel(asked, measure_need(settings), gpu_memory(os.environ))

    def _repeat_notes(self, chosen: Sequence[Chosen]) -> tuple[str, ...]:
        if self.settings.temperature > 0:
            return ()
        return tuple(
            f"{item.name}: its runs are identical, because the temperature is 0."
            for item in chosen
            if any(subset.runs > 1 for subset in item.subsets)
        )

    def _check_datasets(self, chosen: Sequence[Chosen], decision: ModelDecision) -> list[Checked]:
        subsets = [subset for item in chosen for subset in item.subsets]
        if not subsets:
            return []
        # Written and read back, so that classes become names, as the stock command does.
        drafted = write_config({"datasets": [s.config for s in subsets]}, self.scratch / "draft.py")
        ready = []
        by_result: dict[str, Checked] = {}
        for subset, config in zip(subsets, drafted["datasets"], strict=True):
            asked = replace(subset, config=config)
            if subset.result_abbr in by_result:  # another run of the same rows
                checked = replace(by_result[subset.result_abbr], subset=asked)
            else:
                checked = self._check(asked, decision)
                by_result[subset.result_abbr] = checked
                self._settle_checked(checked)
            if checked.reason is None:
                ready.append(checked)
        self.progress.write()
        return ready

    def _settle_checked(self, checked: Checked) -> None:
        subset = checked.subset
        self.progress.note(
            subset.result_abbr,
            expected=checked.rows * subset.runs,
            prompt_hash=checked.prompt_hash,
            data_hash=checked.data_hash,
            seconds=self.seconds.get(subset.result_abbr, 0.0),
            **({"status": FAILED, "reason": checked.reason} if checked.reason else {}),
        )
        if checked.reason is not None:
            name = subset.result_abbr
            self.output.say(f"{subset.dataset}: {name} failed: {checked.reason.message}")

    def _check(self, subset: Subset, decision: ModelDecision) -> Checked:
        if subset.role in decision.unsupported:
            return Checked(subset, reason=Reason("unsupported", decision.unsupported[subset.role]))
        refused = confinement.refusal(subset.preset)
        if refused:
            return Checked(subset, reason=refused)
        return check(subset, self.settings.allow_outside_services, self._built)

    def _write_config(self, decision: ModelDecision, ready: Sequence[Checked]) -> Any:
        subsets = [item.subset for item in ready]
        config = build_config(decision.configs, subsets, self.files.root)
        return write_config(config, self.files.opencompass_config)

    def _score_all(
        self,
        config: Any,
        ready: Sequence[Checked],
        model_files: ModelFiles,
        decision: ModelDecision,
    ) -> None:
        settings, files = self.settings, self.files
        by_abbr = {item.subset.abbr: item for item in ready}
        repair(files, settings.model_abbr, {abbr: item.rows for abbr, item in by_abbr.items()})
        answers = files.predictions / settings.model_abbr / JOURNAL
        journal = Journal(answers, settings.fingerprint)
        self._effect.recall(journal)
        collector = Collector(
            settings,
            files,
            self.progress,
            self.output,
            by_abbr,
            decision.tokenizer_path,
            journal.answers,
        )
        self._scorer = Scorer(
            self.scratch,
            settings.scoring_workers,
            settings.scoring_timeout_s,
            collector.collect,
            self._judge(ready),
            [settings.secrets_folder] if settings.secrets_folder else [],
        )
        unasked = []
        for item in ready:
            abbr = item.subset.abbr
            scores = files.results / settings.model_abbr / f"{abbr}.json"
            if not self._prediction(abbr).is_file():
                unasked.append(item.subset)
            elif scores.is_file() and not lacks_verdicts(read_json(scores)):
                collector.collect(abbr, None)
            else:
                self._submit(item.subset, decision)
        if unasked:
            Inference(
                settings,
                files,
                self.progress,
                self.output,
                self.scratch,
                self.seconds,
                journal,
                self._built,
                decision,
                load=lambda: self._effect.shown_by(
                    self._load_model(model_files, decision), decision
                ),
                load_copies=lambda: self._load_copies(model_files, decision),
                on_written=lambda subset: self._submit(subset, decision),
                on_failed=collector.fail,
            ).run(unasked)
        self._scorer.wait()

    def _judge(self, ready: Sequence[Checked]) -> JudgeClient | None:
        endpoint = self.settings.judge
        if endpoint is None or not any(item.subset.judged for item in ready):
            return None
        return JudgeClient(endpoint, read_secret(self.settings.secrets_folder, "OC_JUDGE_API_KEY"))

    def _load_model(self, model_files: ModelFiles, decision: ModelDecision) -> LoadedModel:
        """The model in this process; loaded once."""
        if self._model is None:
            tensors = self._begin_loading(model_files, decision)
            model = load_model(decision.configs, self._served_adapter(decision))
            facts = (model.adapter_tensors, model.device, model.dtype, model.load_seconds)
            self._note_loaded(Ready(*facts), tensors)
            self._model = model
        return self._model

    def _load_copies(self, model_files: ModelFiles, decision: ModelDecision) -> Copies:
        settings, parallel = self.settings, self._parallel
        if parallel.data == 1:
            model = self._load_model(model_files, decision)
            copies = copy_in_here(model, settings)
            self._effect.shown_by(model, decision)  # as it will be asked: through the copy's front
            return copies
        tensors = self._begin_loading(model_files, decision)
        adapter = self._served_adapter(decision)
        say = self.output.say
        checked = self._effect.adapter(decision)
        with self._effect.noted():
            copies = start_copies(
                settings, decision.configs, adapter, parallel, os.environ, say, checked
            )
        self._note_loaded(copies.facts, tensors, copies.notes)
        self._effect.note(copies.facts.canary)
        return copies

    def _begin_loading(self, model_files: ModelFiles, decision: ModelDecision) -> int:
        """Merges the adapter where that is decided; gives its tensors."""
        self.progress.update(stage="loading")
        self.output.say(f"ftbench: loading {self.settings.base_model}")
        target = self.scratch / "merged"
        if not decision.merge_because or target.exists():
            return self.progress.result.model.adapter_tensors
        with self._effect.noted():
            merged = merge_adapter(self.settings, model_files, target)
        self._effect.note(merged.canary)
        return merged.tensors

    def _served_adapter(self, decision: ModelDecision) -> Path | None:
        """The adapter that transformers loads."""
        is_served = not decision.merge_because and not self.settings.use_vllm
        return self.settings.adapter if is_served else None

    def _note_loaded(self, loaded: Ready, merged_tensors: int, notes: tuple[str, ...] = ()) -> None:
        before = self.progress.result.model
        facts = replace(
            before,
            adapter_tensors=merged_tensors or loaded.adapter_tensors,
            device=loaded.device,
            dtype=loaded.dtype,
            load_seconds=loaded.load_seconds,
            notes=before.notes + notes,
        )
        self.progress.update(stage="running", model=facts)
        adapter = f", {facts.adapter_tensors} adapter tensors" if self.settings.adapter else ""
        copies = f", {facts.parallel}" if facts.parallel else ""
        self.output.say(
            f"ftbench: model loaded in {facts.load_seconds:.1f} s "
            f"on {facts.device} ({facts.dtype}{adapter}{copies})"
        )

    def _submit(self, subset: Subset, decision: ModelDecision) -> None:
        assert self._scorer is not None
        task = {
            "models": [decision.configs[subset.role]],
            "datasets": [[subset.config]],
            "work_dir": str(self.files.root),
            "eval": {"runner": {"task": {"dump_details": True}}},
        }
        evaluator = class_name(subset.config["eval_cfg"]["evaluator"]["type"])
        judged_samples = 0
        if subset.judged:
            forget_transcripts(self.files.results / self.settings.model_abbr, subset.abbr)
            judged_samples = self.progress.subset(subset.result_abbr).expected
        network = self.settings.allow_outside_services and bool(addresses([evaluator]))
        self._scorer.submit(subset.abbr, task, judged_samples, network)

    def _prediction(self, abbr: str) -> Path:
        return self.files.predictions / self.settings.model_abbr / f"{abbr}.json"
