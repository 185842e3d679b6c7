"""A result that is recorded already is not recorded again, for as long as the tracker has it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from urllib.parse import urlparse

import pytest

from ftbench import tracking
from ftbench.tracking import Recorded
from ftbench.tracking.reading import read_folder
from tests.tracking.conftest import Store
from tests.tracking_fixtures import (
    RunFolder,
    gsm8k,
    make_adapter,
    make_run_folder,
    mmlu,
    result_of,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(store: Store) -> RunFolder:
    adapter = make_adapter(store.folder / "qwen-sft" / "checkpoint-500")
    plan = store.plan(training_run_id=store.training_run())
    return make_run_folder(
        store.folder / "workspace", plan, result_of(mmlu(4), gsm8k(25.0)), adapter
    )


def test_a_recorded_result_is_known(folder: RunFolder) -> None:
    assert tracking.recorded_before(folder.plan, folder.result) is None
    recorded = tracking.record(folder.plan, folder.result)
    assert tracking.recorded_before(folder.plan, folder.result) == recorded
    assert read_folder(folder.path).run_id == recorded.run_id


def test_another_result_or_setting_is_recorded_again(folder: RunFolder) -> None:
    tracking.record(folder.plan, folder.result)
    assert tracking.recorded_before(folder.plan, result_of(mmlu(4))) is None
    for changes in ({"step": 7}, {"sweep_id": "s"}, {"experiment": "new"}, {"uri": "sqlite:///x"}):
        plan = replace(folder.plan, tracking=replace(folder.plan.tracking, **changes))
        assert tracking.recorded_before(plan, folder.result) is None
    plan = replace(folder.plan, parameters={**folder.plan.parameters, "backend.batch_size": "3"})
    assert tracking.recorded_before(plan, folder.result) is None


@pytest.mark.parametrize("lost", ["run", "training run", "artifacts", "database", "receipt"])
def test_what_is_lost_is_recorded_again(store: Store, folder: RunFolder, lost: str) -> None:
    recorded = tracking.record(folder.plan, folder.result)
    assert isinstance(recorded, Recorded)
    if lost == "run":
        store.client.delete_run(recorded.run_id)
    elif lost == "training run":
        assert recorded.training_run_id
        store.client.delete_run(recorded.training_run_id)
    elif lost == "artifacts":
        uri = store.client.get_run(recorded.run_id).info.artifact_uri
        shutil.rmtree(urlparse(uri).path)
    elif lost == "database":
        (store.folder / "mlflow.db").unlink()
    else:
        (folder.plan.run_dir / "recorded.json").write_text('{"what": "torn')
    assert tracking.recorded_before(folder.plan, folder.result) is None


def test_tracking_none_is_never_recorded(folder: RunFolder) -> None:
    plan = replace(folder.plan, tracking=replace(folder.plan.tracking, kind="none"))
    assert tracking.recorded_before(plan, folder.result) is None
