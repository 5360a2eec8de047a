"""Train the detector of people on the pictures of the pose network; export and score it.

reads   data/raw, data/annotations, models/encoder.npz
writes  models/people.onnx, reports/people.json
params  people (people/params.yaml), data.dataset, data.sets, train.deterministic, train.precision
"""

import json
from pathlib import Path

from hourglass.config import list_datasets, load_params
from hourglass.data.datasets.base import find_dataset
from hourglass.utils.errors import exit_on_user_error, stage_parser
from hourglass.utils.files import exclusive_lock, write_json
from hourglass.utils.yaml_files import read_checked

ANNOTATIONS = Path("data/annotations")
PARAMS = Path("people/params.yaml")
DETECTOR, SCORES = Path("models/people.onnx"), Path("reports/people.json")


@exit_on_user_error
def main():
    stage_parser(__doc__).parse_args()
    with exclusive_lock("models/.people.lock", "training the detector here"):
        train(load_params())


def train(params):
    # TensorFlow: not for `--help`
    from hourglass.data.scenes import read_scenes
    from hourglass.evaluation.detection import score_finder
    from hourglass.export.people_format import export_people_detector
    from hourglass.inference.backends import PeopleFinder
    from hourglass.training.devices import prepare_devices
    from hourglass.training.people import PeopleFile, train_people_detector

    prepare_devices(params.train)
    people = read_checked(PARAMS, PeopleFile, str(PARAMS), {}).people
    dataset, sets = params.data.dataset, params.data.sets
    archive = Path("data/raw", dataset, find_dataset(dataset).images)
    train_scenes, val_scenes = (
        read_scenes(ANNOTATIONS / f"{split}.json", archive, people.complete)
        for split in ("train", "validation")
    )
    network = train_people_detector(train_scenes, people, Path("models/encoder.npz"))
    export_people_detector(network, list_datasets(dataset, sets), DETECTOR)
    scores = score_finder(PeopleFinder(DETECTOR), val_scenes)
    write_json(SCORES, scores)
    print(json.dumps(scores))


if __name__ == "__main__":
    main()
