"""Predict the keypoints of the validation persons; render the best, the worst and some between.

reads   data/annotations, data/tfrecords, models/hourglass.keras
writes  reports/predictions.json, reports/figures
params  predict
"""

from pathlib import Path

from hourglass.config import load_params
from hourglass.data.person import load_persons, load_schema
from hourglass.evaluation import figures
from hourglass.evaluation.pckh import score_persons
from hourglass.evaluation.predictions import save_predictions
from hourglass.utils.errors import exit_on_user_error, stage_parser
from hourglass.utils.files import exclusive_lock

NETWORK = "models/hourglass.keras"


@exit_on_user_error
def main():
    stage_parser(__doc__).parse_args()
    predict(load_params().predict)


def predict(params):
    # TensorFlow: not for `--help`
    from hourglass.data.tfrecords.pipeline import eval_batches
    from hourglass.data.tfrecords.reader import (
        check_persons,
        check_schema,
        name_damage,
        open_split,
        read_crops,
    )
    from hourglass.models.batch_norm import fuse_conv_bn
    from hourglass.models.pose_estimator import PoseEstimator, predict_split
    from hourglass.models.saving import load_network
    from hourglass.utils.devices import choose_strategy, grow_memory, round_up_batch

    grow_memory()
    strategy = choose_strategy()
    with strategy.scope():  # a copy of the weights on each device
        network = fuse_conv_bn(load_network(NETWORK), params.precision)
        estimator = PoseEstimator(network, params.flip_test, params.decode, params.num_refinements)
    batch_size = round_up_batch(params.batch_size, strategy)
    persons = load_persons("data/annotations/validation.json")
    schema = load_schema("data/annotations")
    split = open_split(Path("data/tfrecords"), "validation", network.metadata.input_size)
    with exclusive_lock("reports/.predict.lock", "predicting here"), name_damage(split):
        check_schema(split, network.metadata.schema, NETWORK, "run `dvc repro train`")
        check_schema(split, schema, "data/annotations", "run `dvc repro shard`")
        check_persons(split, persons)
        # Filled up where devices share it; alone, one batch more would cost its time for nothing.
        batches = eval_batches(split, batch_size, fill_last=strategy.num_replicas_in_sync > 1)
        keypoints, scores, is_predicted = predict_split(estimator, batches, len(persons))
        save_predictions(
            "reports/predictions.json",
            [person.image for person in persons],
            [k if ok else None for k, ok in zip(keypoints, is_predicted, strict=True)],
            scores,
            schema,
        )
        ranking = figures.rank_persons(*score_persons(persons, keypoints), schema)
        chosen = figures.choose_persons(ranking[is_predicted[ranking]], params.num_figures)
        crops = read_crops(split, [person for _, person in chosen])
        figures.render_figures("reports/figures", chosen, crops, persons, keypoints, schema)


if __name__ == "__main__":
    main()
