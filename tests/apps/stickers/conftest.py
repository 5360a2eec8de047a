"""What the tests of stickers share."""

import pytest

from helpers.people import StandingBackend


@pytest.fixture
def backend():
    """Sees a person who stands in every white bar."""
    return StandingBackend()
