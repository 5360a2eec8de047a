"""From the archives of a pose dataset to a trained stacked hourglass, skeletons and a PCKh table.

The folders, in the order of the pipeline; each says in its `__init__` what it owns:

    raw, synthetic    archives as downloaded, packed or drawn            stage download
    annotations       checked records of persons                         stage parse
    records           TFRecords of person crops, and batches of them     stage shard
    network           views of crops, the network, heatmaps, keypoints   stages train, predict
    training          the loop and all that belongs to a run             stage train
    cluster           what runs on Ray                                   shard, train; the command
    prediction        predictions, figures; photographs                  stage predict, the command
    exports           a network as one file for another runtime          stage export, the command
    evaluation        PCKh and its reports                               stage evaluate
    report            a finished run as one HTML page                    stage report
    video             clips and cameras, people followed through them    the command
    bulk              very many photographs, in parts                    the command
    stickers          stickers for chats, of photographs and clips       the command
    page              a web page that finds joints in the browser        the command
    commands          what `predict`, `sticker`, `page`, `export` do     the command
    shipped           the network for photographs that comes with it     the command, the API

At the root: `api` (for programs: `from hourglass import JOINTS, draw, load`), `cli` (the command),
`params` (params.yaml), `skeleton` (joints, bones), `geometry` (transforms), `files`,
`errors`, `rejects`, and `frameworks` (Keras and TensorFlow). tests/test_layers.py says which folder
may import which.

Words, one for each thing:

    joints       [16, 2] labels, 0-based pixels of the picture, (x, y), pixel centres at integers
    joints_vis   bool [16], the labelled joints, occluded ones too; never a test of coordinates
    keypoints    [16, 2] joints as they are predicted, or taken to another frame
    center       [2] about the middle of a person; scale: the person's height / 200 px
    head size    px of the original picture, what PCKh measures errors by; MPII: 25 * scale
    view         the square that the network sees of a person, 1.25 heights wide, or augmented
    square       x, y, side: whole pixels of a picture to cut out; box: a user's x, y, width, height
    look         the network's at one square of a photograph; search: looks that follow one another
    track        a person followed from frame to frame of a clip, by a number of their own
    pose         one person's keypoints with their scores, as seen in one square
    style        of a sticker: figure, cutout or cartoon; frame: the square of a picture it shows
    coverage     how much of each pixel a figure covers, 0 to 255
    stored       of the pictures in the TFRecords; original: of the dataset's pictures
    network      the Keras model alone; loss model, predictor: with what surrounds it
    joint finder what runs a network on views, whatever it is: Keras, or onnxruntime on an export
    part         photographs that follow one another in a list, and the file of what was found
    stretch      pictures that follow one another in an archive, and the records of their persons
    record       an annotation's JSON object, or a serialized example; reject: one that was left out
"""

__all__ = ["JOINTS", "draw", "load"]


def __getattr__(name):
    # When first asked for: neither TensorFlow nor Pillow is loaded by `import hourglass`.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hourglass import api

    return getattr(api, name)
