"""A script with argparse that knows nothing of tuner; it resumes from the file that it writes."""

import argparse
import os
from pathlib import Path

import torch
from sklearn.datasets import load_digits


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=0.1, help="learning rate (default: 0.1)")
    parser.add_argument("--batch-size", type=int, default=32, help="rows a step (default: 32)")
    parser.add_argument("--epochs", type=int, default=9, help="(default: 9)")
    parser.add_argument("--seed", type=int, default=0)
    folder = os.environ.get("TUNER_CHECKPOINT_DIR", "checkpoints")
    parser.add_argument("--checkpoints", type=Path, default=folder, help="folder for the state")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    torch.manual_seed(options.seed)
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    x_train, y_train, x_val, y_val = x[:1200], y[:1200], x[1200:1500], y[1200:1500]
    model = torch.nn.Linear(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=options.lr, momentum=0.9)
    loss_of, first = torch.nn.CrossEntropyLoss(), 1
    options.checkpoints.mkdir(exist_ok=True)
    file = options.checkpoints / "last.pt"
    if file.exists():
        state = torch.load(file, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        first = state["epoch"] + 1
    for epoch in range(first, options.epochs + 1):
        for batch in torch.randperm(len(x_train)).split(options.batch_size):
            optimizer.zero_grad()
            loss_of(model(x_train[batch]), y_train[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            val_loss = loss_of(model(x_val), y_val).item()
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "epoch": epoch,
        }
        unfinished = file.with_suffix(".new")
        torch.save(state, unfinished)
        unfinished.replace(file)  # never half written
        print(f"epoch {epoch} val_loss {val_loss:.6f}")


if __name__ == "__main__":
    main()
