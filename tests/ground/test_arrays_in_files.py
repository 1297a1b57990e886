"""Arrays in npz files: what is written is read, whatever release of numpy writes it; objects are refused."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from qkdlib import files

NUMBERS = arrays_of.arrays(st.sampled_from([np.float16, np.float32, np.int64, np.bool_]), arrays_of.array_shapes())


@given(found=st.dictionaries(st.sampled_from(["train", "test", "arr_0"]), NUMBERS), compressed=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path, found, compressed):
    files.write_arrays(tmp_path / "a.npz", found, compressed)
    read = files.read_arrays(tmp_path / "a.npz", most=1 << 20)
    assert read.keys() == found.keys()
    for name, expected in found.items():
        np.testing.assert_array_equal(read[name], expected)
        assert read[name].dtype == expected.dtype


def test_numpy_is_asked_for_nothing_that_its_first_release_would_save(tmp_path, monkeypatch):
    """numpy 2.0 takes every keyword for an array."""
    asked = []
    monkeypatch.setattr(np, "savez", lambda file, **named: asked.append(sorted(named)))
    files.write_arrays(tmp_path / "a.npz", {"b": np.zeros(1), "a": np.zeros(1)}, compressed=False)
    assert asked == [["a", "b"]]


def test_objects_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"^arrays=\['b'\] is not allowed; allowed: arrays of numbers or text$"):
        files.write_arrays(tmp_path / "a.npz", {"a": np.zeros(1), "b": np.array([None])})
    assert list(tmp_path.iterdir()) == []
