"""A network for scikit-learn's digits in a loop of Hugging Face's Accelerate."""

import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset


def train(trial):
    accelerator = Accelerator(cpu=trial.device == "cpu")
    torch.manual_seed(trial.seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, trial.params["width"]),
        torch.nn.ReLU(),
        torch.nn.Linear(trial.params["width"], 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=trial.params["learning_rate"])
    data, val_rows, val_labels = load_data()
    loader = DataLoader(data, batch_size=32, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    folder = trial.checkpoint.folder()  # what the trial continues from; empty at its beginning
    if any(folder.iterdir()):
        accelerator.load_state(folder)  # the generators as well
    for epoch in range(trial.step + 1, trial.params["epochs"] + 1):
        for rows, labels in loader:
            optimizer.zero_grad()
            accelerator.backward(cross_entropy(model(rows), labels))
            optimizer.step()
        with torch.no_grad():
            outputs = model(val_rows.to(accelerator.device))
            val_loss = cross_entropy(outputs, val_labels.to(accelerator.device))
        trial.report(step=epoch, val_loss=val_loss.item())
        trial.checkpoint.save(lambda: save(accelerator, folder))  # called when one is due


def save(accelerator, folder):
    accelerator.save_state(folder)
    return folder


def load_data():
    images, labels = load_digits(return_X_y=True)
    rows, labels = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    return TensorDataset(rows[:1200], labels[:1200]), rows[1200:], labels[1200:]
