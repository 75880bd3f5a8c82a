"""Each trial trains one model in two processes, with PyTorch's DistributedDataParallel."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

N_ROWS, N_FEATURES = 2048, 16


def make_rows(seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(N_ROWS, N_FEATURES, generator=generator)
    y = (x[:, :4].prod(dim=1) + x[:, 4:].sum(dim=1).sin() > 0).long()
    return TensorDataset(x, y)


def train(trial):
    # tuner has started this function in every process, as `torchrun` does: all variables are set.
    on_gpu = trial.device.startswith("cuda")
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        return fit(trial)
    finally:
        dist.destroy_process_group()


def fit(trial):
    device = torch.device(trial.device)  # this process's own
    width = trial.params["width"]
    net = nn.Sequential(nn.Linear(N_FEATURES, width), nn.ReLU(), nn.Linear(width, 2)).to(device)
    model = DistributedDataParallel(net)
    optimizer = torch.optim.AdamW(model.parameters(), lr=trial.params["lr"])
    rows = make_rows(seed=1)
    sampler = DistributedSampler(rows, seed=trial.seed % 2**31)
    loader = DataLoader(rows, batch_size=trial.params["batch_size"], sampler=sampler)
    held_out = [tensor.to(device) for tensor in make_rows(seed=2).tensors]

    # The state of the first process is saved, and all of them load it.
    state = trial.checkpoint.load()
    first = 1
    if state is not None:
        net.load_state_dict(state["net"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["epoch"] + 1

    for epoch in range(first, trial.params["epochs"] + 1):
        sampler.set_epoch(epoch)
        for x, y in loader:
            loss = nn.functional.cross_entropy(model(x.to(device)), y.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            val_loss = nn.functional.cross_entropy(net(held_out[0]), held_out[1]).item()
        # Call it in every process: the numbers of the first one count, and all stop together.
        trial.report(step=epoch, val_loss=val_loss)
        trial.checkpoint.save(
            {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
        )
