import pytest

from helpers.networks import change_train
from hourglass.training.devices import choose_pass_size
from hourglass.utils.errors import UserError


@pytest.mark.parametrize(
    ("batch_size", "num_devices", "limit", "size"),
    [(16, 1, 0, 16), (16, 4, 0, 4), (16, 1, 5, 4), (16, 2, 3, 2), (12, 1, 7, 6), (7, 1, 6, 1)],
)
def test_a_share_is_taken_in_as_few_equal_parts_as_fit(
    batch_size, num_devices, limit, size, tiny_params
):
    params = change_train(tiny_params, batch_size=batch_size, max_batch_per_device=limit).train
    assert choose_pass_size(params, num_devices) == size


@pytest.mark.parametrize(("batch_size", "num_devices"), [(16, 3), (4, 8)])
def test_unequal_shares_are_refused(batch_size, num_devices, tiny_params):
    params = change_train(tiny_params, batch_size=batch_size).train
    line = rf"train.batch_size: {batch_size} cannot be shared out equally over {num_devices} "
    with pytest.raises(UserError, match=line):
        choose_pass_size(params, num_devices)
