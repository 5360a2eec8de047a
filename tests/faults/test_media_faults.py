"""One picture in 300 forms: read right, or said why not; none wrong in silence."""

import pytest

from helpers.marks import mostly_slow
from helpers.media import SAID, UNMADE, WRONG, judge
from helpers.media_pictures import list_pictures

PICTURES = {case.name: case for case in list_pictures()}
QUICK = (*list(PICTURES)[::6], *(name for name in PICTURES if name.startswith("planes_")))


@pytest.mark.parametrize("name", mostly_slow(PICTURES, *QUICK))
def test_no_picture_is_wrong_in_silence(tmp_path, name):
    verdict = judge(PICTURES[name], tmp_path)
    if verdict.word == UNMADE:
        pytest.skip(verdict.text)
    assert verdict.word != WRONG, verdict.text
    # Whole files of the forms that the commands' page names are read, not only refused.
    is_refusable = name.startswith(("without_", "ffmpeg_"))
    assert is_refusable or verdict.word != SAID or name in REFUSED, verdict.text


# Forms that Pillow does not know.
REFUSED = ("white_is_0_big.tif", "float_colour.tif", "half_grey.tif", "rgb.pam")
