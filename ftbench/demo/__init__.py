"""The demonstration: a tiny model and adapter made on the spot, evaluated like any other."""
