import pytest

from helpers.changes import change_train
from hourglass.errors import UserError
from hourglass.training.devices import check_replicas


@pytest.mark.parametrize("values", [{"precision": "mixed_float16"}, {"clip_norm": 1.0}])
def test_what_several_gpus_cannot_do_is_refused(values, tiny_params):
    params = change_train(tiny_params, **values).train
    check_replicas(params, 1)
    with pytest.raises(UserError, match=rf"train.{next(iter(values))}: .* for several"):
        check_replicas(params, 2)
