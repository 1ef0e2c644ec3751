"""EfficientNets of Keras on TensorFlow, on the CPU. Layers are matched with ours by Keras' names, which ours follow."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow as tf
from exchange import read_batch, read_tensors, serve, write_tensors
from keras.src.applications import efficientnet

# width and depth of the family's scaling
SCALING = {
    "B0": (1.0, 1.0), "B1": (1.0, 1.1), "B2": (1.1, 1.2), "B3": (1.2, 1.4),
    "B4": (1.4, 1.8), "B5": (1.6, 2.2), "B6": (1.8, 2.6), "B7": (2.0, 3.1),
}  # fmt: skip
STATISTICS = ("moving_mean", "moving_variance")


def create(request):
    keras.utils.clear_session(free_memory=False)  # Layers are numbered per process.
    size = request["imageSizePx"]
    return efficientnet.EfficientNet(
        *SCALING[request["variant"]], size, dropout_rate=0.0, drop_connect_rate=0.0, name="peer", weights=None, input_shape=(size, size, 3),
        classes=request["classes"], classifier_activation=None, weights_name="none",
    )  # fmt: skip


def named(model):
    """Our name → Keras' variable; without the preprocessing layers."""
    return {
        f"{layer.name}/{variable.path.split('/')[-1]}": variable
        for layer in model.layers
        if not isinstance(layer, keras.layers.Normalization)
        for variable in layer.weights
    }


def load(request):
    """The network with the weights of the request, and the images as it takes them."""
    model = create(request)
    values = read_tensors(request["weights"])
    variables = named(model)
    assert variables.keys() == values.keys(), f"different tensors: {sorted(variables.keys() ^ values.keys())}"
    for name, variable in variables.items():
        assert tuple(variable.shape) == values[name].shape, name
        variable.assign(values[name])
    # Its first layer divides by 255 again; the one that normalises leaves an untrained network's images as they are.
    return model, tf.constant((read_batch(request) * 255).astype(np.float32))


def shapes(request):
    variables = named(create({**request, "imageSizePx": 64}))
    found = [(name.split("/")[1], list(variable.shape)) for name, variable in variables.items()]
    return {
        "parameters": [shape for leaf, shape in found if leaf not in STATISTICS],
        "statistics": [shape for leaf, shape in found if leaf in STATISTICS],
        "count": sum(int(np.prod(shape)) for leaf, shape in found if leaf not in STATISTICS),
    }


def logits(request):
    model, x = load(request)
    return model(x, training=False).numpy().tolist()


def step_of(model, request):
    """x → (summed loss, gradients in the order of the trainable variables)"""
    classes, smoothing = request["classes"], request["labelSmoothing"]
    targets = np.eye(classes)[request["labels"]] * (1 - smoothing) + smoothing / classes
    targets, weights = tf.constant(targets, tf.float32), tf.constant(request["sampleWeights"], tf.float32)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            losses = tf.nn.softmax_cross_entropy_with_logits(logits=model(x, training=request["batchNorm"] == "batch"), labels=targets)
            loss = tf.reduce_sum(losses * weights)
        return loss, tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    return step


def gradients(request):
    """Of the summed loss → file with each parameter's gradient."""
    model, x = load(request)
    loss, computed = step_of(model, request)(x)
    names = {id(variable): name for name, variable in named(model).items()}
    write_tensors(
        request["out"], {names[id(variable)]: gradient.numpy() for variable, gradient in zip(model.trainable_variables, computed)}
    )
    return float(loss)


def train(request):
    """Steps of Adam on one batch → file with weights and running statistics; the loss before each step, per unit of weight."""
    model, x = load(request)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = request["statisticsMomentum"]
    settings = request["optimizer"]
    optimizer = keras.optimizers.Adam(
        request["learningRate"], beta_1=settings["beta1"], beta_2=settings["beta2"], epsilon=settings["epsilon"]
    )
    step, losses, weight_sum = step_of(model, request), [], sum(request["sampleWeights"])
    for _ in range(request["steps"]):
        loss, computed = step(x)
        optimizer.apply([gradient / weight_sum for gradient in computed], model.trainable_variables)
        losses.append(float(loss) / weight_sum)
    write_tensors(request["out"], {name: variable.numpy() for name, variable in named(model).items()})
    return losses


def normalise_inside(model, normalization):
    """From now on the network takes pixels from 0 to 255, as one that was adapted to its images does, and its files say how it changes them."""
    (layer,) = (layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    layer.adapt_mean.assign(np.reshape(normalization["mean"], layer.adapt_mean.shape))
    layer.adapt_variance.assign(np.reshape(np.square(normalization["std"]), layer.adapt_variance.shape))
    layer.finalize_state()


def save(request):
    """Takes over the weights and writes them as users do, → logits of the images."""
    model, _ = load(request)
    normalise_inside(model, request["normalization"])
    size = request["imageSizePx"]
    x = tf.constant(np.fromfile(request["images"], np.uint8).reshape(-1, size, size, 3).astype(np.float32))
    if request["format"] == "keras-h5":
        model.save(request["out"])
    else:
        model.save_weights(request["out"])
    return model(x, training=False).numpy().tolist()


def load_saved_model(request):
    """Reads a SavedModel as any Python program does, and calls its serving signature on the image bytes → its outputs by name."""
    signature = tf.saved_model.load(request["folder"]).signatures["serving_default"]
    (name, spec), *others = signature.structured_input_signature[1].items()
    assert not others, f"more inputs than {name}: {others}"
    size = request["imageSizePx"]
    pixels = np.fromfile(request["images"], np.uint8).reshape(-1, size, size, 3)
    outputs = signature(**{name: tf.cast(pixels, spec.dtype)})
    return {key: value.numpy().tolist() for key, value in outputs.items()}


serve({name: globals()[name] for name in ("shapes", "logits", "gradients", "train", "save", "load_saved_model")})
