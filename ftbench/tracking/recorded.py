"""What a recording comes to: where an evaluation stands in MLflow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recorded:
    """Where an evaluation stands in MLflow.

    Attributes:
        run_url: The benchmark run's page. For a database, it answers while open_with runs.
        view_url: The experiment's benchmark runs with their score columns, best first.
        charts_url: The same as charts, with the difference against the base model.
        training_view_url: Curves of the training runs' losses and scores.
        open_with: Command that shows the pages of a database; empty for a server.
        model_id: The LoggedModel's id.
        notes: What a reader should know, one sentence each.
    """

    run_id: str
    experiment_id: str
    run_url: str
    view_url: str = ""
    charts_url: str = ""
    training_view_url: str = ""
    open_with: str = ""
    model_id: str = ""
    training_run_id: str | None = None
    notes: tuple[str, ...] = ()
