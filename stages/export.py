"""Write the trained network as one ONNX file, from the pixels of a crop to keypoints.

reads   models/hourglass.keras
writes  models/hourglass.onnx
params  none
"""

from pathlib import Path

from hourglass.utils.errors import exit_on_user_error, stage_parser
from hourglass.utils.files import exclusive_lock


@exit_on_user_error
def main():
    stage_parser(__doc__).parse_args()
    # TensorFlow: not for `--help`
    from hourglass.export.exporter import export_network

    with exclusive_lock("models/.export.lock", "exporting here"):
        export_network(Path("models/hourglass.keras"), Path("models/hourglass.onnx"))


if __name__ == "__main__":
    main()
