"""How many copies of the model answer, and on how many GPUs each lies; pure.

A copy that fits one GPU is best alone on it: copies on several GPUs answer that many times as much,
while the parts of one spread copy wait for each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ftbench_eval.reasons import Refused

GIB = 1 << 30

_TRANSFORMERS_SHARE = 0.9
"""Of a GPU's memory; the rest is CUDA's own and what splinters."""

_ROOM = 2 * GIB
"""On each GPU beside weights and cache: CUDA's kernels and graphs, and what passes through layers
of the largest prefill (vLLM 0.11 profiles 8192 tokens or more)."""

_SEQUENCES = 8
"""Of the longest length that have to fit at once, lest a copy on few GPUs answers one by one."""


@dataclass(frozen=True)
class Need:
    """What one copy takes.

    Attributes:
        weights: Bytes in the number format asked for; None: not known.
        kept: Bytes that a token keeps in the cache.
        longest: Tokens of the longest sequence, input and output.
        heads: Attention heads, which vLLM has to divide evenly.
    """

    weights: int | None
    kept: int
    longest: int
    heads: int

    def each(self, gpus: int) -> int:
        """Bytes on each of several GPUs."""
        cache = self.kept * self.longest * _SEQUENCES
        return ((self.weights or 0) + cache) // gpus + _ROOM


@dataclass(frozen=True)
class Parallel:
    """The decision.

    Attributes:
        data: Copies of the model.
        tensor: GPUs of each; 0: CPU.
        why: A sentence for the reader; empty where there was nothing to decide.
    """

    data: int
    tensor: int
    why: str = ""

    @property
    def words(self) -> str:
        """For people; empty for one copy on one GPU or the CPU."""
        if self.data == 1 and self.tensor < 2:
            return ""
        copies = "1 copy" if self.data == 1 else f"{self.data} copies"
        if not self.tensor:
            return f"{copies} on the CPU"
        gpus = "1 GPU" if self.tensor == 1 else f"{self.tensor} GPUs"
        return f"{copies} on {gpus}" + (" each" if self.data > 1 else "")


@dataclass(frozen=True)
class Asked:
    """What the user said.

    Attributes:
        num_gpus: GPUs to use; 0: CPU.
        data, tensor: Copies, and GPUs of each; None: to be chosen.
        use_vllm: vLLM splits every layer; transformers puts whole layers on different GPUs.
        share: Of a GPU's memory that vLLM may take.
        is_stream: False in OpenCompass's own order, which one copy answers.
    """

    num_gpus: int
    data: int | None = None
    tensor: int | None = None
    use_vllm: bool = False
    share: float = 0.9
    is_stream: bool = True


def choose_parallel(asked: Asked, need: Need, memory: Sequence[int]) -> Parallel:
    """The smallest number of GPUs that holds a copy, and as many copies as there are GPUs for.

    Args:
        memory: Bytes of each GPU; the smallest counts, as every copy gets any. Empty: not known.

    Raises:
        Refused: What the user said does not go together.
    """
    if not asked.num_gpus:
        copies = Parallel(asked.data or 1, 0)
        why = f"The model answers as {copies.words}, as was asked." if copies.data > 1 else ""
        return Parallel(copies.data, 0, why)
    _check_product(asked)
    if not asked.is_stream:
        tensor = asked.tensor or asked.num_gpus
        return Parallel(1, tensor, _stock_words(asked, tensor))
    sizes = [n for n in range(1, asked.num_gpus + 1) if not asked.use_vllm or _splits(n, need)]
    if asked.tensor is not None:
        if asked.use_vllm and asked.tensor > 1 and need.heads % asked.tensor:
            raise Refused(
                "gpu",
                f"TENSOR_PARALLEL={asked.tensor}: the model has {need.heads} attention heads, "
                "which vLLM cannot divide among so many GPUs",
            )
        return _with_copies(asked, asked.tensor, "")
    most = asked.num_gpus // (asked.data or 1)
    sizes = [n for n in sizes if n <= most]
    if asked.num_gpus == 1:
        return Parallel(1, 1)
    if need.weights is None or not memory:
        what = "the size of the weights" if need.weights is None else "the memory of the GPUs"
        return _with_copies(asked, sizes[-1], f"{what} is not known")
    share = asked.share if asked.use_vllm else _TRANSFORMERS_SHARE
    usable = int(min(memory) * share)
    fitting = [n for n in sizes if need.each(n) <= usable]
    tensor = fitting[0] if fitting else sizes[-1]
    why = (
        f"a copy has {_gib(need.weights)} of weights and needs {_gib(need.each(tensor))} on "
        f"{'each' if tensor > 1 else 'its'} GPU, of {_gib(usable)} that it may take"
    )
    return _with_copies(asked, tensor, why if fitting else f"{why}; it may not fit")


def _check_product(asked: Asked) -> None:
    data, tensor = asked.data or 1, asked.tensor or 1
    if data * tensor > asked.num_gpus:
        raise Refused(
            "gpu",
            f"DATA_PARALLEL={data} and TENSOR_PARALLEL={tensor} take {data * tensor} GPUs, and "
            f"NUM_GPUS is {asked.num_gpus}",
        )


def _splits(gpus: int, need: Need) -> bool:
    return not gpus & (gpus - 1) and not need.heads % gpus


def _with_copies(asked: Asked, tensor: int, why: str) -> Parallel:
    copies = asked.data or max(1, asked.num_gpus // tensor)
    idle = asked.num_gpus - copies * tensor
    chosen = Parallel(copies, tensor)
    if asked.num_gpus == 1:
        return chosen
    words = chosen.words or "1 copy on 1 GPU"
    text = f"The model answers as {words}{f': {why}' if why else ', as was asked'}"
    rest = f"; {idle} of {asked.num_gpus} GPUs {'is' if idle == 1 else 'are'} not used"
    return Parallel(copies, tensor, f"{text}{rest if idle else ''}.")


def _stock_words(asked: Asked, tensor: int) -> str:
    if asked.data in (None, 1):
        return ""
    return f"backend.order=stock asks one copy, on {tensor} GPUs: data_parallel is not used."


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
