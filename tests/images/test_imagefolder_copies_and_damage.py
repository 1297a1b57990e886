"""Image folders of one's own: what is passed over and said, copies, links, and what does not fit or is damaged."""

import numpy as np
import pytest
from painted import fill, grey, paint
from PIL import Image

from qkdlib import checks
from qkdlib.images import image_files
from qkdlib.images.imagefolder import load_folder

# What is passed over, and copies


def test_files_that_are_not_read_are_counted_by_their_endings(tmp_path):
    fill(tmp_path, 5)
    for name in ("cat/a.txt", "dog/b.TXT", "cat/000.png.bak", "dog/c", "labels.csv"):
        (tmp_path / name).write_text("no image")
    with pytest.warns(UserWarning) as said:
        load_folder(tmp_path, None)
    (warning,) = said
    counted = "files that are not read (2 *.txt, 1 *.csv, 1 *.bak, 1 names without an ending): 5"
    assert str(warning.message).endswith(counted)


def test_thumbnails_in_a_class_are_counted_and_not_read(tmp_path):
    fill(tmp_path, 5)
    for number in range(5):
        paint(tmp_path / "cat" / "thumbnails" / f"{number}.png", 200, size=(2, 2))
    (tmp_path / "dog" / "old").mkdir()
    with pytest.warns(UserWarning, match=r"not read \(5 in 'cat/thumbnails', a folder in a class\): 5$"):
        x_train, _, x_test, _, _ = load_folder(tmp_path, None)
    assert (grey(x_train), grey(x_test)) == ([0, 1, 2, 3, 100, 101, 102, 103], [4, 104])
    paint(tmp_path / "cat" / "thumbnails" / "5.png", 200)  # more than the class has
    with pytest.raises(ValueError, match="'cat' holds the folders 'thumbnails' where its images should be"):
        load_folder(tmp_path, None)


def test_frames_and_copies_are_said_in_the_same_warning(tmp_path):
    fill(tmp_path, 5)
    Image.new("L", (6, 4), 0).save(
        tmp_path / "cat" / "000.gif", save_all=True, append_images=[Image.new("L", (6, 4), 90)]
    )
    (tmp_path / "cat" / "a.txt").write_text("")
    with pytest.warns(UserWarning) as said:
        x_train, *_ = load_folder(tmp_path, None)
    (warning,) = said
    assert str(warning.message).startswith("'imagefolder:/")
    assert str(warning.message).endswith(
        "files that are not read (1 *.txt): 1; files of several frames, of which the first is read: 1; "
        "copies of other images of their class: 1"
    )
    assert grey(x_train)[:2] == [0, 0]


def test_an_image_in_both_parts_is_an_error_that_names_both_files(tmp_path):
    fill(tmp_path / "train", 3)
    fill(tmp_path / "test", 2, brighter=50)
    Image.open(tmp_path / "train" / "dog" / "002.png").save(tmp_path / "test" / "dog" / "copy.bmp")
    with pytest.raises(
        ValueError, match="in train or in test; 'train/dog/002.png' and 'test/dog/copy.bmp' hold the same"
    ):
        load_folder(tmp_path, None)


def test_copies_of_a_flat_folder_go_where_the_first_of_them_is(tmp_path):
    fill(tmp_path, 12)
    paint(tmp_path / "cat" / "009.png", 1)  # a fifth, and a copy of a training image
    paint(tmp_path / "dog" / "006.png", 104)  # a copy of a fifth
    with pytest.warns(UserWarning, match="copies of other images of their class: 2$"):
        x_train, y_train, x_test, y_test, _ = load_folder(tmp_path, None)
    assert (grey(x_test), y_test.tolist()) == ([4, 104, 104, 109], [0, 1, 1, 1])
    assert grey(x_train)[:10] == [0, 1, 2, 3, 5, 6, 7, 8, 1, 10] and y_train.tolist() == [0] * 11 + [1] * 9


def test_an_image_has_one_label(tmp_path):
    fill(tmp_path, 5)
    paint(tmp_path / "dog" / "000.png", 3)
    with pytest.raises(ValueError, match=r"with one label; 'cat/003.png' and 'dog/000.png' hold the same"):
        load_folder(tmp_path, None)


def test_images_that_become_equal_by_resizing_are_equal(tmp_path):
    fill(tmp_path, 5)
    paint(tmp_path / "dog" / "004.png", 1, size=(12, 8))
    with pytest.raises(ValueError, match=r"with one label; 'cat/001.png' and 'dog/004.png' hold the same"):
        load_folder(tmp_path, 4)


def test_links_are_followed_and_known_by_what_they_lead_to(tmp_path):
    fill(tmp_path / "one", 5)
    (tmp_path / "two").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "two" / name).symlink_to(tmp_path / "one" / name)
    assert len(load_folder(tmp_path / "two", None)[0]) == 8
    (tmp_path / "three").mkdir()
    for part in ("train", "test"):
        (tmp_path / "three" / part).symlink_to(tmp_path / "one")
    with pytest.raises(ValueError, match="'train/cat/000.png' and 'test/cat/000.png' hold the same"):
        load_folder(tmp_path / "three", None)
    (tmp_path / "one" / "cat" / "all").symlink_to(tmp_path / "one")
    with pytest.raises(ValueError, match="'cat' holds the folders 'all' where its images should be"):
        load_folder(tmp_path / "one", None)


@pytest.mark.parametrize("target", ["nowhere", "a.png"])
def test_a_link_that_leads_nowhere_is_named(tmp_path, target):
    fill(tmp_path, 5)
    (tmp_path / "cat" / "a.png").symlink_to(target)
    with pytest.raises(ValueError, match="'cat/a.png' is no file, or a link to none|'cat' cannot be read"):
        load_folder(tmp_path, None)


def test_a_part_of_equal_images_is_an_error(tmp_path):
    for part, value in (("train", 3), ("test", 4)):
        for number in range(5):
            for name in ("cat", "dog"):
                paint(tmp_path / part / name / f"{number}.png", (value, 0), mode="LA")
    with pytest.raises(ValueError, match="images that differ; all 10 of train are equal"):
        load_folder(tmp_path, None)


# What does not fit, and what is damaged


@pytest.mark.parametrize("content", [lambda whole: whole[:40], lambda whole: b"no image"])
def test_a_damaged_image_is_one_error_on_one_line(tmp_path, content):
    fill(tmp_path, 5)
    path = tmp_path / "dog" / "001.png"
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(ValueError, match=r"images that can be read, unlike 'dog/001.png' \(") as caught:
        load_folder(tmp_path, None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("image_size", "named"), [(None, "dataset='imagefolder:"), (16, "image_size=16 ")])
def test_images_for_which_memory_is_too_small_are_not_decoded(tmp_path, monkeypatch, image_size, named):
    fill(tmp_path, 5, size=(16, 16))
    monkeypatch.setattr(image_files, "pixels", None)
    monkeypatch.setattr(checks, "available_memory", lambda: 5 * 10 * 16 * 16 - 1.0)
    with pytest.raises(ValueError, match=f"^{named}.*all 10 images fits into memory"):
        load_folder(tmp_path, image_size)
    monkeypatch.setattr(checks, "available_memory", lambda: 5 * 10 * 16 * 16)
    with pytest.raises(TypeError):  # decoded now
        load_folder(tmp_path, image_size)


def test_deep_greys_of_a_folder_share_their_white(tmp_path):
    for number, value in enumerate((0, 100, 200, 1000, 4000)):
        for place, name in enumerate(("cat", "dog")):
            path = tmp_path / name / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.full((3, 3), value + 32 * place, np.uint16)).save(path)
    x_train, _, x_test, _, _ = load_folder(tmp_path, None)
    assert grey(x_train) == [0, 6, 12, 62, 2, 8, 14, 64] and grey(x_test) == [250, 252]  # of 12 bits


def test_a_picture_on_its_side_has_the_size_that_it_shows(tmp_path):
    fill(tmp_path, 5)  # (6, 4)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (4, 6), 50).save(tmp_path / "cat" / "000.png", exif=exif)
    assert load_folder(tmp_path, None)[0].shape == (8, 1, 4, 6)
    Image.new("L", (4, 6), 50).save(tmp_path / "cat" / "000.png")
    with pytest.raises(ValueError, match="image_size=None is not allowed; .* 2 sizes"):
        load_folder(tmp_path, None)
