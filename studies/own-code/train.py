"""Logistic regression on scikit-learn's digits: the whole training code that tuner needs."""

import torch
from sklearn.datasets import load_digits


def train(trial):
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images / 16, dtype=torch.float32, device=trial.device)
    y = torch.tensor(labels, device=trial.device)
    x_train, y_train, x_val, y_val = x[:1200], y[:1200], x[1200:1500], y[1200:1500]
    torch.manual_seed(trial.seed)
    model = torch.nn.Linear(64, 10).to(trial.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=trial.params["learning_rate"], momentum=0.9)
    loss_of, first = torch.nn.CrossEntropyLoss(), 1
    state = trial.checkpoint.load()  # not None when the trial was interrupted before
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["epoch"] + 1
    for epoch in range(first, trial.params["epochs"] + 1):
        for batch in torch.randperm(len(x_train)).split(trial.params["batch_size"]):
            optimizer.zero_grad()
            loss_of(model(x_train[batch]), y_train[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            val_loss = loss_of(model(x_val), y_val).item()
        trial.report(step=epoch, val_loss=val_loss)  # a weak trial ends here
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
        trial.checkpoint.save(state)  # written when one is due


if __name__ == "__main__":
    import tuner

    trial = tuner.Trial(params={"learning_rate": 0.01, "batch_size": 32, "epochs": 5})
    train(trial)
    print(trial.reports[-1])
