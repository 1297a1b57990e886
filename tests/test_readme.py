"""The README's Python example runs as it stands, on a folder of images."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_own_teacher_student_and_images(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for part, count in (("train", 120), ("test", 50)):
        for place, name in enumerate(("disc", "ring", "spot")):
            folder = tmp_path / "my_images" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 40, (20, 24, 3)) + 60 * place
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert len(code.splitlines()) <= 13
    monkeypatch.chdir(tmp_path)
    exec(code.replace("seeds=10", "seeds=2, epochs=1, shots=100"), {})
    printed = capsys.readouterr().out
    assert "custom:ResNet" in printed
    assert len(list((tmp_path / "my_runs" / "results" / "students").glob("*.json"))) == 2
