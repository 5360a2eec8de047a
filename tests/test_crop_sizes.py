"""What crops keep of pictures, as `experiments/crop_sizes.py` measures it."""

import json
import runpy
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from helpers.paths import DATA, ROOT, needs_data
from helpers.pictures import file_of
from hourglass.config import load_params
from hourglass.utils import transforms

crop_sizes = SimpleNamespace(**runpy.run_path(str(ROOT / "experiments" / "crop_sizes.py")))
RECIPE = load_params(ROOT / "params.yaml")
SIZE = RECIPE.model.input_size


@pytest.fixture(scope="module")
def photographs():
    return crop_sizes.load_sample(DATA / "mpii-samples")


@pytest.fixture(scope="module")
def texture(tmp_path_factory):
    """Noise with features of one or two input px; a person covers all of it except the edges."""
    folder = tmp_path_factory.mktemp("texture")
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
    picture = Image.fromarray(noise).resize((1800, 1800), Image.Resampling.BICUBIC)
    (folder / "images").mkdir()
    (folder / "images" / "a.jpg").write_bytes(file_of(picture, "JPEG", quality=95))
    joints = [[900.0 + 10 * k, 900.0] for k in range(16)]
    record = {"image": "a.jpg", "joints": joints, "joints_vis": [1] * 16,
              "center": [901.0, 901.0], "scale": 4.0}  # fmt: skip
    (folder / "validation.json").write_text(json.dumps([record]))
    return crop_sizes.load_sample(folder)


def sharpness(sample, crop_size):
    params = RECIPE.shard.model_copy(update={"crop_size": crop_size})
    return crop_sizes.compare_with_direct(sample, params, SIZE)[2]


def assert_as_sharp(sample):
    assert sharpness(sample, RECIPE.shard.crop_size).min() > 0.85
    assert sharpness(sample, 0).min() > 0.85, "whole pictures"
    assert sharpness(sample, 384).max() < 0.85, "too few pixels for 256"


def test_views_of_a_texture_are_nearly_as_sharp_as_out_of_the_picture_itself(texture):
    assert_as_sharp(texture)


@needs_data("mpii-samples")
def test_views_of_photographs_are_nearly_as_sharp_as_out_of_the_picture_itself(photographs):
    assert_as_sharp(photographs)


@needs_data("mpii-samples")
@pytest.mark.parametrize("folder", [".", "demo"])
def test_the_warp_shrinks_crops_no_further_than_is_harmless(photographs, folder):
    """Against smoothed inputs: as close as without shrinking, where it only blurs."""
    params = load_params(ROOT / folder / "params.yaml")
    shard, size = params.shard, params.model.input_size
    needed = transforms.stored_input_size(shard.crop_size, shard.scale_range, shard.rotation_range)
    worst = needed * (1 + params.train.augment.scale) / size
    large = crop_sizes.choose_large(photographs, 2 * size)
    plain, worst, double = (
        crop_sizes.compare_with_smoothed(large, shard, size, reduction)
        for reduction in (1, worst, 2)
    )
    assert worst[1] < plain[1] < double[1] / 1.2, "difference, grey levels"
    assert plain[0] < 0.85 and worst[0] == pytest.approx(1, abs=0.05) and double[0] > 1.15


def test_sharpness_counts_what_is_shown_alone():
    inputs = np.zeros((1, 8, 8, 3), np.float32)
    inputs[0, ::2, :4] = 10  # stripes on the left
    shown = np.ones((1, 8, 8), bool)
    shown[..., 4:] = shown[:, [0, -1]] = shown[..., [0, 3]] = False
    np.testing.assert_allclose(crop_sizes.measure_sharpness(inputs, shown), 20, rtol=1e-5)
    assert crop_sizes.measure_difference(inputs, 0 * inputs, shown) == pytest.approx(5)
