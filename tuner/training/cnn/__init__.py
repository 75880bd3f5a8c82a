"""The built-in convolutional network, an ordinary module whose lanes torch.vmap fuses."""
