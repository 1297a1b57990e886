"""Fixtures of the images' tests."""

import pytest

from qkdlib.images import datasets


@pytest.fixture(autouse=True)
def _no_images_of_other_tests():
    datasets._load.cache_clear()
    yield
    datasets._load.cache_clear()
