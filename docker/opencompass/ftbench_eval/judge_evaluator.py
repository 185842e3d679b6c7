"""OpenCompass's evaluator by a judge model, with our client in place of its own and strict reading.

Runs in a scoring process; imports OpenCompass. Its own postprocessors still make the metrics: they
get each verdict in a form that they cannot misread.
"""

from __future__ import annotations

import os
from typing import Any

from opencompass.evaluator import GenericLLMEvaluator
from opencompass.models.base_api import BaseAPIModel
from opencompass.openicl.icl_inferencer import GenInferencer

from ftbench.judge_client import Message, Reply
from ftbench_eval.judge_service import JudgeLine
from ftbench_eval.verdicts import NO_VERDICT, Form, Verdict, Words, read_verdict

_TURNS = {
    "round": [
        {"role": "HUMAN", "api_role": "HUMAN"},
        {"role": "BOT", "api_role": "BOT", "generate": True},
    ]
}
"""As GenericLLMEvaluator.default_judge_cfg has it (OpenCompass 0.5.4)."""

_ROLES = {"HUMAN": "user", "BOT": "assistant", "SYSTEM": "system"}
_PROMPTS_AT_A_TIME = 1024


class JudgeModel(BaseAPIModel):  # type: ignore[misc]
    """A model for OpenCompass's inferencer that asks the judge.

    Attributes:
        replies: All that the judge said, in the order of the prompts.
    """

    def __init__(self, line: JudgeLine) -> None:
        super().__init__(path="judge", meta_template=_TURNS)
        self._line = line
        self.replies: list[Reply] = []

    def generate(self, inputs: list[Any], max_out_len: int) -> list[str]:
        """Asks; what the reply limit is, the client knows."""
        replies = self._line.ask([messages_of(prompt) for prompt in inputs])
        self.replies += replies
        return [reply.text for reply in replies]


class JudgedEvaluator(GenericLLMEvaluator):  # type: ignore[misc]
    """GenericLLMEvaluator, asked and read by us.

    Each sample's details get ``judge_reply``, ``judge_unknown`` (why there is no verdict, or
    empty) and ``correct`` (true, false or null).

    Args:
        form: What the judge is asked to answer.
        line: The way to the judge; None: this one is only constructed.
        options: GenericLLMEvaluator's own.
    """

    def __init__(self, form: Form, line: JudgeLine | None, **options: Any) -> None:
        # A config of the judge, so that none is made from OC_JUDGE_* variables.
        super().__init__(**(options | {"judge_cfg": {"path": "judge"}}))
        self._form = form
        self._line = line
        self._judged: list[dict[str, Any]] = []

    def build_inferencer(self) -> None:
        """Builds the inferencer around our model."""
        assert self._line is not None, "constructed without a way to the judge"
        self.output_path = f"{self._out_dir}_replica{self.dataset_replica_idx}.json"
        folder, name = os.path.split(self.output_path)
        self._model = JudgeModel(self._line)
        self.inferencer = GenInferencer(
            self._model,
            max_out_len=None,
            batch_size=_PROMPTS_AT_A_TIME,
            output_json_filepath=folder,
            output_json_filename=name,
        )

    def score(
        self, predictions: list[Any], references: list[Any], test_set: Any = None
    ) -> dict[str, Any]:
        """Judges the rows that were asked.

        OpenCompass would load the dataset anew, without ``test_range``, and fail with a limit.
        """
        self.dataset_cfg = None
        if test_set is not None and "obj_gold" not in test_set.column_names:
            test_set = test_set.add_column("obj_gold", references)
        scored: dict[str, Any] = super().score(predictions, references, test_set)
        return scored

    def _judge_postprocess(self, output: dict[str, Any]) -> dict[str, Any]:
        self._judged = []
        for item, reply in zip(output.values(), self._model.replies, strict=True):
            verdict = self._read(reply)
            item["prediction"] = verdict.canonical
            self._judged.append(
                {
                    "judge_reply": reply.text,
                    "judge_unknown": "" if verdict.known else _why(reply),
                    "correct": verdict.correct,
                }
            )
        return output

    def output_postprocess(self, output: dict[str, Any], dataset: Any = None) -> dict[str, Any]:
        """OpenCompass's metrics, with our details beside its own."""
        result: dict[str, Any] = super().output_postprocess(output, dataset)
        details = result.get("details", output)
        items = list(details.values()) if isinstance(details, dict) else details
        for item, judged in zip(items, self._judged, strict=True):
            item.update(judged)
            if judged["correct"] is not None:
                # CascadeEvaluator knows no other word for it, whatever the judge was asked for.
                item["prediction"] = "A" if judged["correct"] else "B"
        return result

    def _read(self, reply: Reply) -> Verdict:
        if reply.problem:
            nothing = self._form.nothing if isinstance(self._form, Words) else ""
            return Verdict(nothing, None, known=False)
        return read_verdict(reply.text, self._form)


def messages_of(prompt: Any) -> list[Message]:
    """A prompt in OpenCompass's form as messages of the chat API."""
    turns = [{"role": "HUMAN", "prompt": prompt}] if isinstance(prompt, str) else prompt
    return [
        {
            "role": _ROLES.get(turn["role"], turn["role"]),
            "content": str(turn.get("prompt", turn.get("content", ""))),
        }
        for turn in turns
    ]


def _why(reply: Reply) -> str:
    return f"the judge gave no reply: {reply.problem}" if reply.problem else NO_VERDICT
