"""The tracking store of the recording tests."""

from tests.tracking.conftest import empty_database, store

__all__ = ["empty_database", "store"]
