"""Lets OpenCompass make the prompts and write the predictions, without the model.

Its inferencers (0.5.4) ask a model for everything they need: the length of a prompt, its parsed
form, an answer. A stand-in gives the first two from the wrapper's tokenizer and template, and the
answers from a function. So retrieval, templates, truncation, perplexities and file formats stay
OpenCompass's own.
"""

from __future__ import annotations

import functools
import hashlib
import random
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftbench_eval.built import BuiltDatasets
from ftbench_eval.presets import Subset
from ftbench_eval.reasons import Refused
from ftbench_eval.stream.requests import GENERATE, PERPLEXITY, Answer, Call, Request, digest_of

STREAMED_MODES = ("gen", "ppl")
"""Kinds of inference whose prompts do not depend on answers; ``presets.mode_of`` names them."""

_EVERYTHING = 1 << 30
"""Batch size with which an inferencer asks for all its prompts at once."""

Respond = Callable[[Call, Sequence[Any], Sequence[int | None]], list[Any]]


def is_streamed(subset: Subset) -> bool:
    """Whether all prompts of a subset are known before the first answer."""
    return subset.mode in STREAMED_MODES and not subset.config["infer_cfg"]["inferencer"].get(
        "multiround"
    )


class Prompter:
    """Collects the prompts of subsets of one role and writes their predictions.

    Args:
        role: Of the subsets.
        wrapper: OpenCompass model; only its tokenizer and templates are used.
        model_config: The config it was built from.
        scratch: Folder for what OpenCompass writes on the way.
        built: Has the datasets of the check; each is kept here from its prompts to its predictions.
    """

    def __init__(
        self,
        role: str,
        wrapper: Any,
        model_config: Mapping[str, Any],
        scratch: Path,
        built: BuiltDatasets,
    ) -> None:
        self._role = role
        self._wrapper = wrapper
        self._config = model_config
        self._scratch = scratch
        self._built = built
        self._lengths: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def collect(self, subset: Subset, seed: int) -> list[Request]:
        """Every request of a subset, in OpenCompass's order.

        Args:
            seed: Of the random choices that a retriever makes.

        Raises:
            Exception: Whatever OpenCompass raises.
        """
        requests: list[Request] = []

        def note(call: Call, inputs: Sequence[Any], masks: Sequence[int | None]) -> list[Any]:
            for value, masked in zip(inputs, masks, strict=True):
                digest = digest_of(call, value, masked)
                # A longer input is cut by the wrapper.
                length = min(self._length(str(value)), self._config["max_seq_len"])
                position = len(requests)
                requests.append(Request(subset.abbr, position, call, value, length, masked, digest))
            return ["" if call.method == GENERATE else 0.0] * len(inputs)

        task = self._run(subset, note, seed)
        self._built.keep(subset.config, task.dataset)
        shutil.rmtree(task.work_dir, ignore_errors=True)
        return requests

    def write(
        self, subset: Subset, answers: Sequence[tuple[str, Answer]], seed: int, target: Path
    ) -> None:
        """Writes the predictions of a subset as OpenCompass does.

        Args:
            answers: Of all its requests in order, each with its request's digest.
            seed: As in ``collect``.
            target: The file; it appears whole.

        Raises:
            Refused: OpenCompass asks other things than were answered.
            Exception: Whatever OpenCompass raises.
        """
        left = iter(answers)

        def replay(call: Call, inputs: Sequence[Any], masks: Sequence[int | None]) -> list[Any]:
            return [
                _recall(left, digest_of(call, value, masked))
                for value, masked in zip(inputs, masks, strict=True)
            ]

        folder = self._run(subset, replay, seed).work_dir
        written = Path(folder, "predictions", self._config["abbr"], f"{subset.abbr}.json")
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(written, part)
        part.replace(target)
        shutil.rmtree(folder, ignore_errors=True)

    def _run(self, subset: Subset, respond: Respond, seed: int) -> Any:
        """OpenCompass's task, done."""
        from mmengine.config import ConfigDict
        from opencompass.tasks import OpenICLInferTask

        folder = self._scratch / f"prompts-{threading.get_ident()}"
        shutil.rmtree(folder, ignore_errors=True)
        config = ConfigDict(
            models=[dict(self._config)], datasets=[[subset.config]], work_dir=str(folder)
        )
        task = OpenICLInferTask(config)
        # The task has made a copy of its own.
        task.dataset_cfgs[0][0]["infer_cfg"]["inferencer"]["batch_size"] = _EVERYTHING
        _seed_choices(seed)
        _leave_generator_alone()
        task.run(cur_model=self._stand_in(respond), cur_model_abbr=self._config["abbr"])
        return task

    def _stand_in(self, respond: Respond) -> _StandIn:
        return _StandIn(self._role, self._wrapper, self._length, respond)

    def _length(self, prompt: str) -> int:
        key = hashlib.blake2b(prompt.encode(errors="surrogatepass"), digest_size=16).digest()
        found = self._lengths.get(key)
        if found is None:
            with self._lock:  # a tokenizer is not for two threads at once
                found = self._lengths[key] = int(self._wrapper.get_token_len(prompt))
        return found


class _StandIn:
    """What an inferencer takes for a model."""

    is_api = False
    sync_rank = False

    def __init__(
        self, role: str, wrapper: Any, length: Callable[[str], int], respond: Respond
    ) -> None:
        self._role = role
        self._wrapper = wrapper
        self._respond = respond
        self.get_token_len = length
        self.template_parser = wrapper.template_parser
        self.generation_kwargs = wrapper.generation_kwargs

        # Inferencers look at its signature, to know which arguments it takes.
        @functools.wraps(wrapper.generate)
        def generate(inputs: Any, max_out_len: int, **options: Any) -> list[Any]:
            return self._generate(inputs, max_out_len, **options)

        self.generate = generate

    def parse_template(self, template: Any, mode: str) -> Any:
        return self._wrapper.parse_template(template, mode)

    def get_token_len_from_template(self, templates: Any, mode: str = PERPLEXITY) -> Any:
        return type(self._wrapper).get_token_len_from_template(self, templates, mode)

    def generate_from_template(self, templates: Any, max_out_len: int, **options: Any) -> list[Any]:
        return self._generate(self.parse_template(templates, "gen"), max_out_len, **options)

    def get_ppl_from_template(self, templates: Any, mask_length: Any = None) -> Any:
        import numpy as np

        inputs = self.parse_template(templates, "ppl")
        masks = [None] * len(inputs) if mask_length is None else [int(n) for n in mask_length]
        # The wrapper takes masks for a whole batch or for none of it.
        options = () if mask_length is None else (("masked", True),)
        call = Call(self._role, PERPLEXITY, options=options)
        return np.array(self._respond(call, inputs, masks))

    def _generate(self, inputs: Any, max_out_len: int, **options: Any) -> list[Any]:
        hashable = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        call = Call(self._role, GENERATE, max_out_len, tuple(sorted(hashable.items())))
        return self._respond(call, inputs, [None] * len(inputs))


def arguments(call: Call) -> dict[str, Any]:
    """The call's further arguments, as OpenCompass gave them."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in call.options}


def _recall(answers: Iterator[tuple[str, Answer]], digest: str) -> Any:
    expected, answer = next(answers, ("", None))
    if answer is None or expected != digest:
        raise Refused(
            "prompts", "the preset makes other prompts each time it is loaded; backend.order=stock"
        )
    return answer.value


def _leave_generator_alone() -> None:
    """Lets the loaders of OpenCompass's inferencers draw from a generator of their own.

    A loader draws a seed from torch's global generator when it starts (2.13), from which the model
    may sample at that time in another thread: what it sampled then depended on the moment.

    Side effects: replaces a function of OpenCompass in this process, once.
    """
    import torch
    from opencompass.openicl.icl_inferencer.icl_base_inferencer import BaseInferencer

    original = BaseInferencer.get_dataloader
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def get_dataloader(*args: Any, **kwargs: Any) -> Any:
        loader = original(*args, **kwargs)
        loader.generator = torch.Generator()
        return loader

    BaseInferencer.get_dataloader = staticmethod(get_dataloader)


def _seed_choices(seed: int) -> None:
    """Seeds what retrievers choose by; torch's generators may be in use by the model."""
    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)
