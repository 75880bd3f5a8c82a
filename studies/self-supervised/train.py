"""Pretraining without labels on masked columns, and fine-tuning with few labels."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss


def train(trial):
    params = trial.params
    rows, labels, val_rows, val_labels = load_data(trial.device)
    torch.manual_seed(trial.seed)
    width = params["width"]
    encoder = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
    model = nn.ModuleDict(
        {"encoder": encoder, "decoder": nn.Linear(width, 64), "head": nn.Linear(width, 10)}
    ).to(trial.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=params["learning_rate"])
    done = 0  # epochs of both phases
    state = trial.checkpoint.load()
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["done"]
    few = slice(params["labeled_rows"])
    for epoch in range(done + 1, params["pretraining"] + params["epochs"] + 1):
        torch.manual_seed(trial.seed + epoch)  # a resumed trial sees the same order and masks
        if epoch <= params["pretraining"]:
            fill_in(model, optimizer, rows, params["masked_share"])
        else:
            classify(model, optimizer, rows[few], labels[few])
            with torch.no_grad():
                is_right = model["head"](model["encoder"](val_rows)).argmax(1) == val_labels
            step = epoch - params["pretraining"]
            trial.report(step=step, val_accuracy=is_right.float().mean().item())
        # Before the first report this is a state of step 0: the pretraining resumes as well.
        trial.checkpoint.save(
            {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "done": epoch}
        )


def fill_in(model, optimizer, rows, masked_share):
    """Train one epoch to predict the columns that are masked in each row."""
    for batch in torch.randperm(len(rows)).split(64):
        is_masked = (torch.rand(len(batch), rows.shape[1]) < masked_share).to(rows.device)
        guess = model["decoder"](model["encoder"](rows[batch].masked_fill(is_masked, 0)))
        optimizer.zero_grad()
        mse_loss(guess[is_masked], rows[batch][is_masked]).backward()
        optimizer.step()


def classify(model, optimizer, rows, labels):
    for batch in torch.randperm(len(rows)).split(20):
        optimizer.zero_grad()
        cross_entropy(model["head"](model["encoder"](rows[batch])), labels[batch]).backward()
        optimizer.step()


def load_data(device):
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=400, random_state=0, stratify=labels)
    rows, val_rows = (torch.tensor(part, dtype=torch.float32, device=device) for part in parts[:2])
    labels, val_labels = (torch.tensor(part, device=device) for part in parts[2:])
    return rows, labels, val_rows, val_labels
