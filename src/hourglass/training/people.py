"""The training of the detector of people: targets, loss, loop.

A run is short and starts anew when it was killed. The same parameters, data and kind of CPU give
the same bytes: each view follows from the seed, the epoch and its number.

Letters: S px a side of a view, G = S / STRIDE cells.
"""

import functools
import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from hourglass.data.scenes import Scene, View, draw_view
from hourglass.models.batch_norm import fuse_batch_norms
from hourglass.models.people_detector import (
    MAX_STRIDE,
    REFERENCE,
    STRIDE,
    build_people_detector,
    px_to_cells,
)
from hourglass.training.optimizers import MuonAdamW
from hourglass.utils.backend import Model, Tensor, keras, ops, tf
from hourglass.utils.errors import UserError
from hourglass.utils.parallel import Pool, open_pool

Count = Annotated[int, Field(ge=1)]
SPREAD = 0.06  # sigma of a middle's Gaussian, in sides, and at least MIN_SPREAD cells
MIN_SPREAD = 0.6
BOX_WEIGHT = 1.0  # of the losses of offsets and sides beside the middles'
NUM_TARGETS = 6  # of a cell: middle, what it counts, x, y, log side, what these count


class PeopleParams(BaseModel):
    """The section `people` of `people/params.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    complete: list[str]
    input_size: Annotated[int, Field(multiple_of=MAX_STRIDE, ge=MAX_STRIDE)]
    num_channels: Count
    epochs: Count
    batch_size: Count
    views: dict[str, Count]
    mosaics: Annotated[float, Field(ge=0, le=1)]
    lr: Annotated[float, Field(gt=0)]
    encoder_lr: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)]


class PeopleFile(BaseModel):
    """The file `people/params.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    people: PeopleParams


def encode_view(view: View, size: int) -> np.ndarray:
    """The targets of a view, float32 [G, G, NUM_TARGETS].

    Args:
        size: S, px.
    """
    cells = size // STRIDE
    targets = np.zeros((cells, cells, NUM_TARGETS), np.float32)
    targets[..., 1] = 1
    rows, columns = np.mgrid[:cells, :cells]
    for left, top, right, bottom, counts in view.unknown:
        xs, ys = ((values + 0.5) * STRIDE - 0.5 for values in (columns, rows))
        is_in = (left <= xs) & (xs <= right) & (top <= ys) & (ys <= bottom)
        targets[is_in, 1] = np.minimum(targets[is_in, 1], counts)
    for square in sorted(view.squares, key=lambda square: -square[2]):  # small ones on top
        _add_person(targets, square, rows, columns)
    return targets


def _add_person(
    targets: np.ndarray, square: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> None:
    x, y = px_to_cells(square[:2])
    side = square[2] / STRIDE
    row, column = (int(np.clip(round(float(v)), 0, len(targets) - 1)) for v in (y, x))
    spread = max(SPREAD * side, MIN_SPREAD)
    bell = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * spread**2))
    # Around one who is to be found nobody else is unknown.
    is_near = np.maximum(abs(rows - row), abs(columns - column)) <= max(side / 2, 1)
    targets[is_near, 1] = 1
    is_surest = (bell > targets[..., 0]) & (bell > 0.3)
    targets[..., 0] = np.maximum(targets[..., 0], bell)
    targets[is_surest, 2] = x - columns[is_surest]
    targets[is_surest, 3] = y - rows[is_surest]
    targets[is_surest, 4] = np.log(square[2] / REFERENCE)
    targets[is_surest, 5] = bell[is_surest]
    targets[row, column, :2] = 1


def people_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss of outputs [N, G, G, 4] by targets [N, G, G, NUM_TARGETS].

    The middles' is the focal loss of Law and Deng, CornerNet, ECCV 2018, equation 1; that of the
    offsets and sides is L1.
    """
    logits, bell, counts = outputs[..., 0], targets[..., 0], targets[..., 1]
    sure = ops.sigmoid(logits)
    is_middle = ops.cast(ops.equal(bell, 1.0), "float32")
    found = ops.square(1 - sure) * ops.softplus(-logits)
    false = ops.power(1 - bell, 4) * ops.square(sure) * ops.softplus(logits)
    middles = ops.sum(is_middle * found + (1 - is_middle) * counts * false)
    number = ops.maximum(ops.sum(is_middle), 1.0)
    distances = ops.sum(ops.abs(outputs[..., 1:] - targets[..., 2:5]), axis=-1)
    near = targets[..., 5]
    boxes = ops.sum(near * distances) / ops.maximum(ops.sum(near), 1.0)
    return middles / number + BOX_WEIGHT * boxes


def check_sets(params: PeopleParams, names: Collection[str]) -> None:
    """Check that a run shows views, and that the sets it names are at hand.

    Args:
        names: of the sets that have pictures to train on.

    Raises:
        UserError: they are not, or an epoch has not one batch.
    """
    for key, named in (("views", params.views), ("complete", params.complete)):
        for name in named:
            if name not in names:
                has = ", ".join(names)
                raise UserError(f"people.{key}: no pictures of a set {name!r}; there are {has}")
    number = sum(params.views.values())
    if number < params.batch_size:
        raise UserError(
            f"people.views: {number} views an epoch are no batch of {params.batch_size}; ask for"
            " more, or lower people.batch_size"
        )


def choose_scenes(
    scenes: dict[str, list[Scene]], params: PeopleParams, epoch: int
) -> list[list[Scene]]:
    """The scenes of each view of an epoch: one, or four of any sets, in a random order."""
    rng = np.random.default_rng([params.seed, epoch])
    chosen: list[Scene] = []
    for name, number in params.views.items():
        order = itertools.chain.from_iterable(
            rng.permutation(len(scenes[name])) for _ in range(-(-number // len(scenes[name])))
        )
        chosen += [scenes[name][k] for k in itertools.islice(order, number)]
    shuffled = [chosen[k] for k in rng.permutation(len(chosen))]
    return [
        [scene, *(chosen[k] for k in rng.integers(len(chosen), size=3))]
        if rng.random() < params.mosaics
        else [scene]
        for scene in shuffled
    ]


def make_batches(
    scenes: dict[str, list[Scene]], params: PeopleParams, epoch: int, pool: Pool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pictures uint8 [N, S, S, 3] and targets of an epoch; threads make the next ones."""
    views = choose_scenes(scenes, params, epoch)
    make = functools.partial(_make_example, params=params, epoch=epoch)
    starts = range(0, len(views) - params.batch_size + 1, params.batch_size)
    groups = [list(enumerate(views))[k : k + params.batch_size] for k in starts]
    waiting: list[Any] = []
    for group in [*groups, None, None]:
        if group is not None:
            waiting.append([pool.submit(make, item) for item in group])
        if group is None or len(waiting) > 2:
            examples = [future.result() for future in waiting.pop(0)]
            pictures, targets = zip(*examples, strict=True)
            yield np.stack(pictures), np.stack(targets)


def _make_example(
    item: tuple[int, Sequence[Scene]], params: PeopleParams, epoch: int
) -> tuple[np.ndarray, np.ndarray]:
    number, scenes = item
    rng = np.random.default_rng([params.seed, epoch, number])
    view = draw_view(scenes, params.input_size, rng)
    return view.pixels, encode_view(view, params.input_size)


def train_people_detector(
    scenes: dict[str, list[Scene]], params: PeopleParams, encoder: Path
) -> Model:
    """Train the detector from the weights of the encoder; gives the network after the last epoch.

    Args:
        scenes: of each set, to train on.
        encoder: what the stage `encoder` wrote.

    Raises:
        UserError: by `check_sets`.
    """
    check_sets(params, scenes)
    keras.utils.set_random_seed(params.seed)  # the first weights follow from it
    network = build_people_detector(params.input_size, params.num_channels)
    load_encoder_layers(network, encoder)
    fused = fuse_batch_norms(network)
    optimizer = _build_optimizer(network, params)
    steps = sum(params.views.values()) // params.batch_size

    @tf.function(autograph=False)
    def run_step(pictures: Tensor, targets: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            outputs = fused(ops.cast(pictures, "float32"), training=True)
            loss = people_loss(outputs, targets)
        gradients = tape.gradient(loss, [v.value for v in network.trainable_variables])
        optimizer.apply(gradients)
        return loss

    with open_pool() as pool:
        for epoch in range(1, params.epochs + 1):
            losses = []
            batches = make_batches(scenes, params, epoch, pool)
            for step, batch in enumerate(tqdm(batches, total=steps, disable=None, leave=False)):
                done = ((epoch - 1) * steps + step) / (params.epochs * steps)
                optimizer.learning_rate = _learning_rate(params.lr, done)
                losses.append(run_step(*map(tf.constant, batch)))
            print(f"epoch {epoch}/{params.epochs}  loss {np.mean(losses):.4f}", flush=True)
    return network


def _learning_rate(highest: float, done: float) -> float:
    """Up during the first 5 %, then down along a cosine. `done` is the share of all steps."""
    return highest * min(done / 0.05 + 1e-3, 0.5 * (1 + np.cos(np.pi * done)))


def load_encoder_layers(network: Model, path: Path) -> None:
    """Copy the weights that `pretrained.fetch_encoder` wrote into the layers of their names."""
    with np.load(path) as arrays:
        names = {key.partition("/")[0] for key in arrays.files}
        for layer in (layer for layer in network.layers if layer.name in names):
            layer.set_weights([arrays[f"{layer.name}/{k}"] for k in range(len(layer.weights))])


def _build_optimizer(network: Model, params: PeopleParams) -> MuonAdamW:
    pretrained = [v.path for v in network.trainable_variables if v.path.startswith("encoder_")]
    inner = [
        layer.kernel.path
        for layer in network.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.name != "people"
    ]
    optimizer = MuonAdamW(
        params.lr,
        weight_decay=params.weight_decay,
        muon_paths=[path for path in inner if path not in pretrained],
        lr_factors={f"^{re.escape(path)}$": params.encoder_lr for path in pretrained},
        free_betas=[path for path in pretrained if path.endswith("/beta")],
    )
    optimizer.build(network.trainable_variables)
    return optimizer
