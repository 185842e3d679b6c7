"""A training that ftbench starts itself: ``training.command``, run before the line.

``job`` decides what is run and finds what is wrong with it before a second is trained; ``running``
runs it and judges its end; ``weights`` says whether it wrote what is to be evaluated. The training
is a process of its own, which has ended when the evaluation begins: its GPU memory is free then.
"""

from __future__ import annotations

from ftbench.training.job import Training, expected_model, plan_training
from ftbench.training.running import Trained, go_on_with, report_failure, train

__all__ = [
    "Trained",
    "Training",
    "expected_model",
    "go_on_with",
    "plan_training",
    "report_failure",
    "train",
]
