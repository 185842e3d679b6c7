"""How many copies of a model, on how many GPUs each: sizes of published models, worked by hand."""

import json
from pathlib import Path

import pytest
from ftbench_eval.parallel.choice import GIB, Asked, Need, Parallel, choose_parallel
from ftbench_eval.parallel.sizes import weight_bytes
from ftbench_eval.reasons import Refused

# Bytes of weights in 16 bits; of a token in the cache: 2 x layers x key-value heads x 128 x 2.
QWEN_1_5B = Need(int(2.9 * GIB), 2 * 28 * 2 * 128 * 2, 8192, 12)
LLAMA_8B = Need(int(15.0 * GIB), 2 * 32 * 8 * 128 * 2, 8192, 32)
LLAMA_70B = Need(int(131.4 * GIB), 2 * 80 * 8 * 128 * 2, 8192, 64)
QWEN_32B = Need(int(61.0 * GIB), 2 * 64 * 8 * 128 * 2, 8192, 40)
UNKNOWN = Need(None, 1, 8192, 32)

RTX_4090 = 24 * GIB
H100 = 80 * GIB


def sizes(parallel: Parallel) -> tuple[int, int]:
    return parallel.data, parallel.tensor


@pytest.mark.parametrize("use_vllm", [False, True])
@pytest.mark.parametrize(
    ("need", "gpus", "expected"),
    [
        (QWEN_1_5B, [RTX_4090] * 4, (4, 1)),
        # 15.0 + 8 x 1.0 of cache + 2.0 = 25.0 GiB do not fit 21.6; (15 + 8) / 2 + 2 = 13.5 do.
        (LLAMA_8B, [RTX_4090] * 4, (2, 2)),
        (LLAMA_8B, [H100] * 8, (8, 1)),
        # (131.4 + 20) / 2 + 2 = 77.7 do not fit 72; / 4 + 2 = 39.9 do.
        (LLAMA_70B, [H100] * 8, (2, 4)),
        (QWEN_1_5B, [H100], (1, 1)),
    ],
)
def test_choose_parallel_takes_the_fewest_gpus_that_hold_a_copy(
    use_vllm: bool, need: Need, gpus: list[int], expected: tuple[int, int]
) -> None:
    # For 70B transformers could do with 3 GPUs: whole layers, so no power of two is needed.
    if not use_vllm and need is LLAMA_70B:
        expected = (2, 3)
    chosen = choose_parallel(Asked(len(gpus), use_vllm=use_vllm), need, gpus)
    assert sizes(chosen) == expected


def test_choose_parallel_goes_by_the_smallest_gpu() -> None:
    chosen = choose_parallel(Asked(4), LLAMA_8B, [H100, H100, RTX_4090, H100])
    assert sizes(chosen) == (2, 2)


def test_choose_parallel_leaves_a_gpu_idle_that_no_copy_fits() -> None:
    chosen = choose_parallel(Asked(3, use_vllm=True), LLAMA_8B, [RTX_4090] * 3)
    assert sizes(chosen) == (1, 2)
    assert chosen.why.endswith("; 1 of 3 GPUs is not used.")


def test_choose_parallel_divides_heads_evenly_on_vllm() -> None:
    seven_heads = Need(LLAMA_8B.weights, LLAMA_8B.kept, 8192, 14)
    # 14 heads: 2 GPUs, never 4, however little fits.
    chosen = choose_parallel(Asked(4, use_vllm=True), seven_heads, [10 * GIB] * 4)
    assert sizes(chosen) == (2, 2)
    assert "it may not fit" in chosen.why


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked(4, data=4), (4, 1)),
        (Asked(4, data=2), (2, 1)),
        (Asked(4, tensor=2), (2, 2)),
        (Asked(4, tensor=4), (1, 4)),
        (Asked(4, data=1, tensor=1), (1, 1)),
        (Asked(0, data=3), (3, 0)),
        (Asked(4, data=4, is_stream=False), (1, 4)),
        (Asked(4, is_stream=False), (1, 4)),
    ],
)
def test_choose_parallel_does_as_asked(asked: Asked, expected: tuple[int, int]) -> None:
    assert sizes(choose_parallel(asked, QWEN_1_5B, [H100] * asked.num_gpus)) == expected


@pytest.mark.parametrize(("need", "memory"), [(UNKNOWN, [H100] * 4), (QWEN_1_5B, [])])
def test_choose_parallel_spreads_what_it_does_not_know(need: Need, memory: list[int]) -> None:
    chosen = choose_parallel(Asked(4), need, memory)
    assert sizes(chosen) == (1, 4)
    assert "is not known" in chosen.why


def test_choose_parallel_refuses_what_does_not_go_together() -> None:
    with pytest.raises(Refused, match="take 8 GPUs, and NUM_GPUS is 4"):
        choose_parallel(Asked(4, data=4, tensor=2), QWEN_1_5B, [H100] * 4)
    with pytest.raises(Refused, match="40 attention heads"):
        choose_parallel(Asked(4, tensor=3, use_vllm=True), QWEN_32B, [H100] * 4)


def test_words_say_what_was_decided() -> None:
    assert [Parallel(*pair).words for pair in ((1, 0), (1, 1), (1, 2), (4, 1), (2, 2), (2, 0))] == [
        "",
        "",
        "1 copy on 2 GPUs",
        "4 copies on 1 GPU each",
        "2 copies on 2 GPUs each",
        "2 copies on the CPU",
    ]
    chosen = choose_parallel(Asked(4), QWEN_1_5B, [RTX_4090] * 4)
    assert chosen.why == (
        "The model answers as 4 copies on 1 GPU each: a copy has 2.9 GiB of weights and needs "
        "6.6 GiB on its GPU, of 21.6 GiB that it may take."
    )


def write_safetensors(path: Path, tensors: dict[str, tuple[str, int]]) -> None:
    """A file with a header alone: dtype and bytes of each tensor."""
    header, place = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": [size], "data_offsets": [place, place + size]}  # type: ignore[dict-item]
        place += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)


def test_weight_bytes_counts_in_the_format_asked_for(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "a.safetensors", {"x": ("F32", 400), "y": ("BF16", 100)})
    write_safetensors(tmp_path / "b.safetensors", {"packed": ("I32", 64)})
    assert weight_bytes(tmp_path, 2) == 400 // 2 + 100 + 64
    assert weight_bytes(tmp_path, 4) == 400 + 200 + 64


def test_weight_bytes_counts_only_files_of_the_index(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model-1.safetensors", {"x": ("BF16", 100)})
    write_safetensors(tmp_path / "consolidated.safetensors", {"x": ("BF16", 100)})
    index = {"weight_map": {"x": "model-1.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weight_bytes(tmp_path, 2) == 100


def test_weight_bytes_of_pickled_files_are_their_sizes(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model-00001-of-00002.bin").write_bytes(b"0" * 300)
    (tmp_path / "pytorch_model-00002-of-00002.bin").write_bytes(b"0" * 100)
    (tmp_path / "training_args.bin").write_bytes(b"0" * 50)
    (tmp_path / "config.json").write_text('{"torch_dtype": "float32"}')
    assert weight_bytes(tmp_path, 2) == 200


def test_weight_bytes_without_weights_are_not_known(tmp_path: Path) -> None:
    assert weight_bytes(tmp_path, 2) is None
