"""Keras on libtensorflow: `tf.function`, traced once, as `keras.Model.fit` runs it too."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow as tf
from keras.src.applications import efficientnet
from protocol import batch, serve

# width and depth of the family's scaling
SCALING = {
    "B0": (1.0, 1.0), "B1": (1.0, 1.1), "B2": (1.1, 1.2), "B3": (1.2, 1.4),
    "B4": (1.4, 1.8), "B5": (1.6, 2.2), "B6": (1.8, 2.6), "B7": (2.0, 3.1),
}  # fmt: skip


def build_model(setup, activation):
    width, depth = SCALING[setup["variant"]]
    size = setup["imageSizePx"]
    return efficientnet.EfficientNet(
        width, depth, size, dropout_rate=0.0, drop_connect_rate=0.0, name="peer", weights=None, input_shape=(size, size, 3),
        classes=setup["classes"], classifier_activation=activation, weights_name="none",
    )  # fmt: skip


def training_step(setup, images, labels):
    model = build_model(setup, None)
    optimizer = keras.optimizers.Adam(setup["learningRate"], epsilon=1e-7)
    optimizer.build(model.trainable_variables)

    @tf.function
    def train(x, y):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=model(x, training=True), labels=y)
            loss = tf.reduce_mean(losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
        return loss

    def step():
        loss = train(images, labels).numpy()
        assert np.isfinite(loss), loss

    return step


def prediction_step(setup, images):
    model = build_model(setup, "softmax")
    predict = tf.function(lambda x: model(x, training=False))

    def step():
        assert abs(predict(images).numpy().sum() - setup["batchSize"]) < 1e-2

    return step


def prepare(setup):
    tf.config.threading.set_intra_op_parallelism_threads(setup["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(setup["threads"])
    pixels, labels = batch(setup)
    # The model's first layers scale and normalise 0 to 255 themselves.
    images = tf.constant(pixels.astype(np.float32))
    if setup["mode"] == "train-step":
        return training_step(setup, images, tf.constant(labels.astype(np.int32)))
    return prediction_step(setup, images)


serve(prepare)
