import numpy as np
import pytest

from helpers.pictures import draw_coverage


@pytest.mark.parametrize("center", [(20.0, 20.0), (20.5, 21.25), (18.1, 22.9)])
def test_disc_lies_where_it_is_asked_for(center):
    coverage = draw_coverage((40, 44), lambda canvas: canvas.fill_hull([(*center, 6.0)], (0, 0, 0)))
    rows, columns = np.indices(coverage.shape)
    centroid = [(coverage * axis).sum() / coverage.sum() for axis in (columns, rows)]
    assert centroid == pytest.approx(center, abs=0.1)
    assert coverage.sum() == pytest.approx(np.pi * 6**2, rel=0.1)
