"""A network for scikit-learn's digits in Lightning; five marked lines are tuner's."""

import lightning
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset, TensorDataset

from tuner.integrations.lightning import CHECKPOINT, TunerCallback  # 1


class Net(lightning.LightningModule):
    def __init__(self, width, dropout, learning_rate):
        super().__init__()
        self.save_hyperparameters()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(64, width),
            torch.nn.ReLU(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(width, 10),
        )

    def training_step(self, batch, _):
        rows, labels = batch
        return cross_entropy(self.layers(rows), labels)

    def validation_step(self, batch, _):
        rows, labels = batch
        outputs = self.layers(rows)
        self.log("val_loss", cross_entropy(outputs, labels))
        self.log("val_accuracy", (outputs.argmax(1) == labels).float().mean())

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.learning_rate)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
        return {"optimizer": optimizer, "lr_scheduler": schedule, "monitor": "val_loss"}


def train(trial):
    params = trial.params
    callback = TunerCallback(trial)  # 2
    trainer = lightning.Trainer(
        max_epochs=params["epochs"],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],  # 3
        **callback.options,  # 4: device and folder
    )
    model = Net(params["width"], params["dropout"], params["learning_rate"])
    train_rows, val_rows, _ = load_data()
    trainer.fit(model, train_rows, val_rows, ckpt_path=callback.ckpt_path)  # 5


def test(trial):
    """Return the metrics of the model that `tuner train` delivers."""
    model = Net.load_from_checkpoint(trial.checkpoint.folder() / CHECKPOINT).eval()
    _, _, [(rows, labels)] = load_data()
    with torch.no_grad():
        is_right = model.layers(rows.to(model.device)).argmax(1).cpu() == labels
    return {"accuracy": is_right.float().mean().item()}


def load_data():
    """Return the batches of training, validation and test."""
    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
    parts = [Subset(data, rows) for rows in (range(1200), range(1200, 1500), range(1500, 1797))]
    train_rows = DataLoader(parts[0], batch_size=32, shuffle=True)
    return train_rows, *(DataLoader(part, batch_size=300) for part in parts[1:])
