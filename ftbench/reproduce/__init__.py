"""Repeats an evaluation from what was kept of it: ``python -m ftbench.reproduce RUN``.

original -> command -> surroundings (then against now) -> the command runs -> verdict
"""
