"""Evaluates checkpoints as training writes them: ``python -m ftbench.watch FOLDER datasets=[...]``.

Follows a folder, or the finished runs of an MLflow experiment, and evaluates what is new, once. It
trains nothing, decides no score and records nothing: each evaluation is a ``python -m ftbench.run``
of its own, one at a time.
"""
