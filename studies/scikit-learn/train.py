"""`SGDClassifier` on digits, by `partial_fit`; its fitted attributes are the checkpoint."""

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

SCALERS = {"none": FunctionTransformer, "standard": StandardScaler, "minmax": MinMaxScaler}
CLASSES = range(10)


def train(trial):
    (rows, labels), (val_rows, val_labels), _ = load_data(trial.params["scaler"])
    state = trial.checkpoint.load()
    model, done = build_model(trial, state)
    for epoch in range(done + 1, trial.params["epochs"] + 1):
        model.set_params(random_state=(trial.seed + epoch) % 2**32)  # another order in each epoch
        model.partial_fit(rows, labels, classes=CLASSES)
        trial.report(step=epoch, val_accuracy=model.score(val_rows, val_labels))
        fitted = {"coef_": model.coef_, "intercept_": model.intercept_, "t_": model.t_}
        trial.checkpoint.save({"epoch": epoch, "fitted": fitted})


def test(trial):
    """Return the metrics of the model that `tuner train` delivers."""
    _, _, (test_rows, test_labels) = load_data(trial.params["scaler"])
    model, _ = build_model(trial, trial.checkpoint.load())
    return {"accuracy": model.score(test_rows, test_labels)}


def build_model(trial, state):
    """Return the model, as it was saved if there is a state, and the number of its epochs."""
    model = SGDClassifier(
        loss=trial.params["loss"],
        penalty=trial.params["penalty"],
        l1_ratio=trial.params.get("l1_ratio", 0.15),
        alpha=trial.params["alpha"],
    )
    if state is None:
        return model, 0
    rows, labels = load_digits(return_X_y=True)
    model.partial_fit(rows[:10], labels[:10], classes=CLASSES)  # creates all attributes
    for name, value in state["fitted"].items():
        setattr(model, name, value)
    return model, state["epoch"]


def load_data(scaler):
    """Return the rows and labels of training, validation and test."""
    rows, test_rows, labels, test_labels = train_test_split(
        *load_digits(return_X_y=True), test_size=400, random_state=0
    )
    rows, val_rows, labels, val_labels = train_test_split(
        rows, labels, test_size=400, random_state=0
    )
    fitted = SCALERS[scaler]().fit(rows)
    parts = ((rows, labels), (val_rows, val_labels), (test_rows, test_labels))
    return [(fitted.transform(x), y) for x, y in parts]
