"""A network for scikit-learn's digits in Keras 3; `Report` is all that it needs for tuner."""

import os

os.environ["KERAS_BACKEND"] = "torch"  # before keras is imported

import keras
from sklearn.datasets import load_digits


class Report(keras.callbacks.Callback):
    def __init__(self, trial):
        super().__init__()
        self.trial = trial

    def on_epoch_begin(self, epoch, logs=None):
        # The order of the rows depends on the epoch, not on where the trial was interrupted.
        keras.utils.set_random_seed((self.trial.seed + epoch) % 2**32)

    def on_epoch_end(self, epoch, logs=None):
        self.trial.report(step=epoch + 1, **logs)  # loss, accuracy, val_loss, val_accuracy
        self.trial.checkpoint.save(lambda: state_of(self.model, epoch + 1))  # when one is due


def train(trial):
    rows, labels, *validation = load_data()[:4]
    with keras.device(trial.device):
        model, done = build_model(trial)
        model.fit(
            rows,
            labels,
            validation_data=validation,
            initial_epoch=done,
            epochs=trial.params["epochs"],
            batch_size=32,
            verbose=0,
            callbacks=[Report(trial)],
        )


def test(trial):
    """Return the metrics of the model that `tuner train` delivers."""
    rows, labels = load_data()[4:]
    with keras.device(trial.device):
        model, _ = build_model(trial)
        _, accuracy = model.evaluate(rows, labels, verbose=0)
    return {"accuracy": accuracy}


def build_model(trial):
    """Return the model, as it was saved if the trial continues, and the number of its epochs."""
    keras.utils.set_random_seed(trial.seed % 2**32)
    layers = [
        keras.layers.Input((64,)),
        keras.layers.Dense(trial.params["width"], activation="relu"),
        keras.layers.Dropout(trial.params["dropout"]),
        keras.layers.Dense(10),
    ]
    model = keras.Sequential(layers)
    model.compile(
        optimizer=keras.optimizers.Adam(trial.params["learning_rate"]),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    state = trial.checkpoint.load()
    if state is None:
        return model, 0
    for variable, value in zip(variables_of(model), state["variables"], strict=True):
        variable.assign(value)
    return model, state["epoch"]


def state_of(model, epoch):
    values = [keras.ops.convert_to_numpy(variable) for variable in variables_of(model)]
    return {"epoch": epoch, "variables": values}


def variables_of(model):
    """Return weights, generators of random numbers, and the state of the optimizer."""
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


def load_data():
    """Return rows and labels of training, validation and test."""
    images, labels = load_digits(return_X_y=True)
    rows = (images / 16).astype("float32")
    parts = (slice(0, 1200), slice(1200, 1500), slice(1500, None))
    return [column[part] for part in parts for column in (rows, labels)]
