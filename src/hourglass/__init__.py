"""Find the joints of people on photographs, and train the network that does it.

For programs: `from hourglass import load`. A folder imports only from those above it:

    utils         errors, files, pictures, transforms, threads, devices
    visualization keypoints and skeletons drawn on pictures
    data          datasets, download, annotations, TFRecords           stages download, parse, shard
    models        networks, their inputs, codec, metadata, files           stage encoder
    evaluation    predictions of a split, PCKh, reports, figures       stages predict, evaluate
    training      the loop and its parts                               stage train
    inference     a network on photographs: backends, person search
    export        a network as one file for another runtime            stage export
    report        a finished run as one HTML page                      stage report
    apps          clips, batches of photographs, stickers, a web page
    distributed   what runs on Ray
    cli           the command `hourglass`

Beside them: `keypoints` (the schema of a person's keypoints), `config` (params.yaml) and
`inferencer` (what programs import).
"""

__all__ = ["load"]


def __getattr__(name: str) -> object:
    # When first asked for: neither TensorFlow nor Pillow is loaded by `import hourglass`.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hourglass import inferencer

    return getattr(inferencer, name)
