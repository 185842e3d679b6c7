"""Makes ``ftbench/catalogue.json`` from the OpenCompass of the lock file.

Runs in the evaluation environment, never in the container: ``scripts/catalogue`` starts it.
``presets`` loads each preset file, ``describe`` says what it is, with ``sources`` (where its data
comes from) and ``reach`` (what its code can do); ``defaults`` chooses the preset behind each name;
``render`` writes the file.
"""
