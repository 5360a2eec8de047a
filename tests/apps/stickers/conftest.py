"""What the tests of stickers share."""

import pytest

from helpers.people import StandingFinder


@pytest.fixture
def backend():
    """Sees somebody who stands in every white bar."""
    return StandingFinder()
