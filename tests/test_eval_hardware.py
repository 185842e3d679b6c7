"""What the program says of the machine it runs on, where there may be no torch."""

from __future__ import annotations

from ftbench_eval.hardware import hardware


def test_hardware_has_what_the_host_sees_too() -> None:
    facts = hardware(0, {"OMP_NUM_THREADS": "3"})
    assert facts["threads"] == "3"
    assert {"machine", "cores", "memory_gib"} <= facts.keys()
    assert all(facts.values())
