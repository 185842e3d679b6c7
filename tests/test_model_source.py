"""Where the model is: folders, cache, identity, and what is wrong with it."""

import io
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from rich.console import Console

from ftbench.config import Config, ModelConf, RuntimeConf, TrackingConf
from ftbench.model_source import ModelSource, download_base, locate_model
from ftbench.run import evaluate
from ftbench.sidecar import Sidecar, write_sidecar
from tests.checkpoint.folders import base_tensors, cut, make_adapter, make_base
from tests.surroundings import make_host


def cached(hub_dir: Path, name: str = "some/base", revision: str = "abc") -> Path:
    """A model in the hub's cache layout: a snapshot of links to blobs."""
    repo = hub_dir / f"models--{name.replace('/', '--')}"
    blobs = make_base(repo / "blobs")
    snapshot = repo / "snapshots" / revision
    snapshot.mkdir(parents=True)
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(Path("../../blobs") / blob.name)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(revision)
    return snapshot


def problems_of(source: ModelSource) -> list[str]:
    return [str(problem) for problem in source.problems]


def test_locate_model_makes_relative_folders_absolute(weird_tmp_path: Path) -> None:
    adapter = make_adapter(weird_tmp_path / "out", base_model_name_or_path="meta/llama")
    base = make_base(weird_tmp_path / "base")
    source = locate_model(ModelConf(adapter="out", base="base"), make_host(weird_tmp_path))
    assert (source.adapter, source.base_folder, source.base) == (adapter, base, str(base))
    assert source.problems == ()
    assert len(source.base_identity) == len(source.adapter_sha256) == 64
    assert source.notes == ("the adapter names meta/llama as its base, it is put on base",)
    assert not source.must_be_downloaded


def test_locate_model_takes_the_base_that_the_adapter_names(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    make_adapter(tmp_path / "out", base_model_name_or_path=str(base))
    source = locate_model(ModelConf(adapter="out"), make_host(tmp_path))
    assert (source.base, source.base_folder, source.problems) == (str(base), base, ())


def test_locate_model_takes_a_base_relative_to_the_adapter(weird_tmp_path: Path) -> None:
    base = make_base(weird_tmp_path / "runs" / "base")
    make_adapter(weird_tmp_path / "runs" / "out", base_model_name_or_path="../base")
    source = locate_model(ModelConf(adapter="runs/out"), make_host(weird_tmp_path))
    assert (source.base, source.base_folder, source.problems) == (str(base), base, ())


def test_locate_model_prefers_a_base_relative_to_the_caller(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    make_base(make_adapter(tmp_path / "out", base_model_name_or_path="base") / "base")
    assert locate_model(ModelConf(adapter="out"), make_host(tmp_path)).base_folder == base


def test_locate_model_evaluates_a_full_model_without_adapter(tmp_path: Path) -> None:
    base = make_base(tmp_path / "full")
    source = locate_model(ModelConf(base="full"), make_host(tmp_path))
    assert (source.adapter, source.adapter_sha256, source.base_folder) == (None, "", base)
    assert source.problems == ()


def test_locate_model_finds_the_snapshot_in_the_cache(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    snapshot = cached(host.hub_dir)
    make_adapter(tmp_path / "out")
    source = locate_model(ModelConf(adapter="out"), host)
    assert (source.base, source.base_folder, source.problems) == ("some/base", snapshot, ())


def test_locate_model_takes_the_revision_that_main_points_to(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    snapshot = cached(host.hub_dir, "gpt2", revision="old")
    newer = make_base(snapshot.with_name("new"))
    (snapshot.parents[1] / "refs" / "main").write_text("new\n")
    assert locate_model(ModelConf(base="gpt2"), host).base_folder == newer


def test_locate_model_resolves_a_cache_that_is_a_link(tmp_path: Path) -> None:
    # A container gets the blobs' real folder: the snapshot's relative links must lead there.
    host = make_host(tmp_path)
    snapshot = cached(tmp_path / "disk")
    host.hub_dir.symlink_to(tmp_path / "disk")
    assert locate_model(ModelConf(base="some/base"), host).base_folder == snapshot


def test_locate_model_gives_equal_bytes_one_identity_wherever_they_lie(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    cached(host.hub_dir)
    make_base(tmp_path / "copy")
    by_name = locate_model(ModelConf(base="some/base"), host)
    by_path = locate_model(ModelConf(base="copy"), host)
    assert by_name.base_identity == by_path.base_identity != ""


def test_locate_model_asks_for_a_download_of_an_unknown_id(tmp_path: Path) -> None:
    make_adapter(tmp_path / "out")
    source = locate_model(ModelConf(adapter="out"), make_host(tmp_path))
    assert source.must_be_downloaded
    assert (source.base, source.base_folder, source.base_identity) == ("some/base", None, "")


def test_locate_model_lets_an_interrupted_download_go_on(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    snapshot = cached(host.hub_dir)
    (snapshot / "model.safetensors").unlink()
    conf = ModelConf(base="some/base")
    source = locate_model(conf, host)
    assert source.must_be_downloaded and source.base_folder is None
    lacks = (
        f"model.base={snapshot}: it has no weights (none of model.safetensors, "
        "pytorch_model.bin, whole or in shards)\n  try: copy or download the model again"
    )
    assert problems_of(locate_model(conf, host, may_download=False)) == [lacks]
    assert problems_of(locate_model(conf, make_host(tmp_path, hub_offline=True))) == [lacks]


def test_locate_model_downloads_nothing_when_the_hub_is_off(tmp_path: Path) -> None:
    host = make_host(tmp_path, hub_offline=True)
    source = locate_model(ModelConf(base="some/base"), host)
    assert not source.must_be_downloaded
    assert problems_of(source) == [
        f"model.base: some/base: it is not in the cache {host.hub_dir}, and HF_HUB_OFFLINE forbids "
        "a download\n  try: model.base=DIR, or unset HF_HUB_OFFLINE"
    ]


@pytest.mark.parametrize("base", ["/no/such/folder", "./here", "../there", "a/b/c", "with space"])
def test_locate_model_takes_a_lost_path_for_no_hub_id(base: str, tmp_path: Path) -> None:
    make_adapter(tmp_path / "out", base_model_name_or_path=base)
    source = locate_model(ModelConf(adapter="out"), make_host(tmp_path))
    assert not source.must_be_downloaded
    assert problems_of(source) == [
        f"base_model_name_or_path of the adapter: {base}: there is no such folder, and it is no "
        "Hugging Face id\n  try: model.base=DIR_OR_NAME"
    ]


def test_locate_model_needs_a_base_that_somebody_names(tmp_path: Path) -> None:
    make_adapter(tmp_path / "out", base_model_name_or_path=None)
    assert problems_of(locate_model(ModelConf(adapter="out"), make_host(tmp_path))) == [
        "model.adapter=out: its adapter_config.json names no base model\n"
        "  try: model.base=DIR_OR_NAME"
    ]


def test_locate_model_lists_adapter_and_base_problems_together(tmp_path: Path) -> None:
    cut(make_adapter(tmp_path / "out") / "adapter_model.safetensors", 8)
    (make_base(tmp_path / "base") / "tokenizer.json").unlink()
    source = locate_model(ModelConf(adapter="out", base="base"), make_host(tmp_path))
    adapter, base = source.problems
    assert adapter.tried == f"reading {tmp_path}/out/adapter_model.safetensors"
    assert base.tried == f"model.base={tmp_path}/base"
    assert (source.base_identity, source.adapter_sha256) == ("", "")


def test_locate_model_refuses_an_adapter_of_another_base(tmp_path: Path) -> None:
    make_adapter(tmp_path / "out")
    tensors = base_tensors() | {"model.layers.1.self_attn.v_proj.weight": np.ones((2, 8))}
    make_base(tmp_path / "base", tensors)
    source = locate_model(ModelConf(adapter="out", base="base"), make_host(tmp_path))
    assert problems_of(source) == [
        f"model.adapter={tmp_path}/out on base: model.layers.1.self_attn.v_proj takes 8 inputs to "
        "4 outputs in the adapter, and 8 inputs to 2 outputs in the base\n"
        "  try: model.base=some/base, which it names as its base"
    ]
    assert (source.base_identity, source.adapter_sha256) == ("", "")


def test_locate_model_wants_a_chat_template_for_chat(tmp_path: Path) -> None:
    adapter, base = make_adapter(tmp_path / "out"), make_base(tmp_path / "base")
    conf = ModelConf(adapter="out", base="base", type="chat")
    assert problems_of(locate_model(conf, make_host(tmp_path))) == [
        f"model.type=chat: there is no chat template in {adapter} nor {base}\n  try: "
        "model.type=base for plain text prompts, or save a chat_template with the tokenizer"
    ]
    (adapter / "chat_template.jinja").write_text("{{ messages }}")
    assert locate_model(conf, make_host(tmp_path)).problems == ()


def test_download_base_hands_name_cache_and_token_to_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Path, str | None]] = []

    def snapshot_download(name: str, cache_dir: Path, token: str | None, **_: Any) -> None:
        calls.append((name, cache_dir, token))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    host = make_host(tmp_path, secrets={"HF_TOKEN": "hf_1"})
    assert download_base(locate_model(ModelConf(base="a/b"), host), host) == []
    assert calls == [("a/b", host.hub_dir, "hf_1")]


def test_download_base_turns_any_failure_into_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot_download(*_: Any, **__: Any) -> None:
        raise RuntimeError("Got: ConnectError: [Errno 111] Connection refused\nmany\nlines")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    host = make_host(tmp_path)
    (problem,) = download_base(locate_model(ModelConf(base="a/b"), host), host)
    assert str(problem) == (
        f"downloading a/b: it is neither a folder here nor in {host.hub_dir}, and the hub cannot "
        "be asked: Connection refused\n"
        "  try: model.base=DIR, or set HF_ENDPOINT for a mirror"
    )


def test_no_model_is_downloaded_when_there_is_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot_download(*_: Any, **__: Any) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    config = Config(
        datasets=[],
        model=ModelConf(base="a/b"),
        runtime=RuntimeConf(name="local", num_gpus=0),
        tracking=TrackingConf(name="none"),
    )
    printed = io.StringIO()
    outcome = evaluate(config, make_host(tmp_path), Console(file=printed))
    assert outcome.exit_code == 0 and "downloading" not in printed.getvalue()


@pytest.mark.parametrize(
    ("sidecar", "problems", "notes"),
    [
        (Sidecar(base_model="base", global_step=100), 1, 0),
        (Sidecar(base_model="base", global_step=0), 0, 1),
        (None, 0, 1),
    ],
)
def test_locate_model_recognises_a_full_model_that_is_its_base(
    tmp_path: Path, sidecar: Sidecar | None, problems: int, notes: int
) -> None:
    make_base(tmp_path / "base")
    tuned = make_base(tmp_path / "tuned", _name_or_path="base")
    if sidecar:
        write_sidecar(tuned, sidecar)
    source = locate_model(ModelConf(base="tuned"), make_host(tmp_path))
    said = "its weights are those of base, bit by bit"
    assert [p.happened for p in source.problems] == [
        f"{said}, so the training changed nothing"
    ] * problems
    assert list(source.notes) == [f"{said}: this is the base model"] * notes


def test_locate_model_takes_a_full_model_that_was_trained(tmp_path: Path) -> None:
    make_base(tmp_path / "base")
    tensors = base_tensors()
    tensors["model.embed_tokens.weight"][0, 0] += 1
    tuned = make_base(tmp_path / "tuned", tensors)
    write_sidecar(tuned, Sidecar(base_model="base", global_step=100))
    source = locate_model(ModelConf(base="tuned"), make_host(tmp_path))
    assert (source.problems, source.notes) == ((), ())
