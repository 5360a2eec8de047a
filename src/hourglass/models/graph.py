"""Facts about a network's layers, read from its graph and not from names.

A network's outputs are its heatmaps: the layers that make them are its heads.
"""

from collections.abc import Iterator

from hourglass.utils.backend import Layer, Model, Variable, layers


def find_sources(network: Model) -> dict[str, list[str]]:
    """Find what each layer reads.

    Returns:
        {name of a layer: the names of the layers whose outputs it reads}, sources first.
    """
    return {
        layer["name"]: list(_list_tensors(layer["inbound_nodes"]))
        for layer in network.get_config()["layers"]
    }


def _list_tensors(value: object) -> Iterator[str]:
    """The layers that made the tensors in a layer's arguments, as Keras saves them."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield value["config"]["keras_history"][0]
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _list_tensors(item)


def find_readers(network: Model) -> dict[str, list[Layer]]:
    """Find the readers of each layer: {name of a layer: the layers that read its outputs}."""
    sources = find_sources(network)
    by_name = {operation.name: operation for operation in network.operations}
    readers: dict[str, list[Layer]] = {name: [] for name in sources}
    for name, read in sources.items():
        for source in read:
            readers[source].append(by_name[name])
    return readers


def find_fusable_norms(network: Model) -> dict[str, Layer]:
    """Find the norms that can become a part of a convolution.

    Returns:
        {name of a convolution, depthwise or not: the BatchNormalization that alone reads it}.
    """
    readers = find_readers(network)
    fusable = {}
    for conv in _list_convs(network, layers.Conv2D, layers.DepthwiseConv2D):
        # What is an output too is read by the caller.
        is_inner = conv.name not in network.output_names and len(readers[conv.name]) == 1
        if is_inner and isinstance(norm := readers[conv.name][0], layers.BatchNormalization):
            fusable[conv.name] = norm
    return fusable


def inner_kernels(network: Model) -> list[Variable]:
    """The kernels [h, w, in, out] of all Conv2D but the first ones and the heads.

    Muon is meant for hidden layers; the first and the last ones are left to AdamW.
    """
    outer = {*_first_layers(network), *network.output_names}
    return [conv.kernel for conv in _list_convs(network) if conv.name not in outer]


def encoder_layers(network: Model) -> list[Layer]:
    """The layers up to the one that ends the encoder; none where the network has no encoder."""
    sources, found = find_sources(network), {network.metadata.encoder} - {""}
    for name in reversed(sources):  # sources come first
        if name in found:
            found |= set(sources[name])
    return [layer for layer in network.layers if layer.name in found]


def encoder_variables(network: Model) -> list[Variable]:
    """The variables to train of `encoder_layers`."""
    layers = encoder_layers(network)
    return [variable for layer in layers for variable in layer.trainable_variables]


def _first_layers(network: Model) -> list[str]:
    """The layers with a kernel that read the pictures, at most rescaled or normalised."""
    with_kernel = {layer.name for layer in network.layers if hasattr(layer, "kernel")}
    plain: set[str] = set()  # what no layer with a kernel has made; an input layer reads nothing
    first = []
    for name, read in find_sources(network).items():
        if plain.issuperset(read):
            if name in with_kernel:
                first.append(name)
            else:
                plain.add(name)
    return first


def scale_heatmaps(network: Model, factor: float) -> None:
    """Multiply the heatmaps of a network by `factor`, in place; what reads them sees no change.

    A network trained towards peaks other than 1 is saved with peaks near 1.

    Raises:
        ValueError: another layer than a Conv2D reads a head.
    """
    readers = find_readers(network)
    for name in network.output_names:
        head = network.get_layer(name)
        head.set_weights([weight * factor for weight in head.get_weights()])
        for reader in readers[name]:
            if not isinstance(reader, layers.Conv2D):
                raise ValueError(f"{reader.name} reads heatmaps and is no Conv2D")
            kernel, *bias = reader.get_weights()
            reader.set_weights([kernel / factor, *bias])


def _list_convs(network: Model, *kinds: type) -> list[Layer]:
    return [layer for layer in network.layers if isinstance(layer, kinds or layers.Conv2D)]


def check_network(network: Model) -> None:
    """Check a network by its metadata.

    Raises:
        ValueError: other shapes, heads or encoder than its metadata say.
    """
    metadata, inputs = network.metadata, [tuple(t.shape[1:]) for t in network.inputs]
    side = metadata.heatmap_size
    outputs = {tuple(tensor.shape[1:]) for tensor in network.outputs}
    wanted = (side, side, metadata.schema.num_keypoints)
    if inputs != [(metadata.input_size, metadata.input_size, 3)] or outputs != {wanted}:
        raise ValueError(f"it maps {inputs} to {outputs}, not one square picture to {wanted}")
    if metadata.heads != tuple(network.output_names):
        raise ValueError(f"its heads are {network.output_names}, not {list(metadata.heads)}")
    if metadata.encoder and metadata.encoder not in {layer.name for layer in network.layers}:
        raise ValueError(f"it has no layer {metadata.encoder!r} to end its encoder")
