"""What is refused before a model is loaded; needs no OpenCompass."""

from __future__ import annotations

from typing import Any

import pytest
from ftbench_eval.checks import refuse_retriever
from ftbench_eval.reasons import Refused


def config_with(retriever: str) -> dict[str, Any]:
    kind = f"opencompass.openicl.icl_retriever.{retriever}"
    return {"infer_cfg": {"retriever": {"type": kind}}}


@pytest.mark.parametrize("retriever", ["TopkRetriever", "MDLRetriever"])
def test_examples_by_likeness_need_their_packages(retriever: str) -> None:
    with pytest.raises(Refused) as raised:
        refuse_retriever(config_with(retriever))
    assert str(raised.value) == (
        f"{retriever} needs faiss and sentence_transformers, which are not installed"
    )


@pytest.mark.parametrize("retriever", ["ZeroRetriever", "FixKRetriever"])
def test_other_examples_need_nothing(retriever: str) -> None:
    refuse_retriever(config_with(retriever))
