"""Pseudo-labels (Lee 2013): confident answers on rows without labels are trained on as well.

The answer comes from the plain row and is learned on a noisy copy of it (as in FixMatch).
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.functional import cross_entropy


def train(trial):
    params = trial.params
    rows, labels, unlabeled, val_rows, val_labels = load_data(params["labeled_share"], trial.device)
    torch.manual_seed(trial.seed)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).to(trial.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=params["learning_rate"])
    first = 1
    state = trial.checkpoint.load()
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["epoch"] + 1
    for epoch in range(first, params["epochs"] + 1):
        torch.manual_seed(trial.seed + epoch)  # a resumed trial sees the same order and noise
        for batch in torch.randperm(len(unlabeled)).split(128):
            known = torch.randint(len(rows), (32,))
            loss = cross_entropy(model(rows[known]), labels[known])
            loss = loss + params["pseudo_weight"] * pseudo_loss(model, unlabeled[batch], params)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            is_right = model(val_rows).argmax(1) == val_labels
        trial.report(step=epoch, val_accuracy=is_right.float().mean().item())
        trial.checkpoint.save(
            {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
        )


def pseudo_loss(model, rows, params):
    with torch.no_grad():
        confidence, answer = model(rows).softmax(1).max(1)
    noisy = rows + params["noise"] * torch.randn(rows.shape).to(rows.device)
    losses = cross_entropy(model(noisy), answer, reduction="none")
    return (losses * (confidence >= params["threshold"])).mean()


def load_data(labeled_share, device):
    """Split off the validation rows, and hide most labels of the others: the same in each trial."""
    images, labels = load_digits(return_X_y=True)
    rows, val_rows, labels, val_labels = train_test_split(
        images / 16, labels, test_size=400, random_state=0, stratify=labels
    )
    known, hidden, known_labels, _ = train_test_split(
        rows, labels, train_size=labeled_share, random_state=0, stratify=labels
    )
    numbers = [torch.tensor(part, dtype=torch.float32) for part in (known, hidden, val_rows)]
    known, hidden, val_rows = (part.to(device) for part in numbers)
    answers = [torch.tensor(part, device=device) for part in (known_labels, val_labels)]
    return known, answers[0], hidden, val_rows, answers[1]
