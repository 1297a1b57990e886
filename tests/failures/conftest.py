"""One process for all tests here, because it takes seconds to import everything."""

import children
import pytest


@pytest.fixture(scope="session")
def parent():
    """The process whose children run experiments."""
    with children.parent() as process:
        yield process
