"""Params with other values."""


def change_train(params, **values):
    return params.model_copy(update={"train": params.train.model_copy(update=values)})
