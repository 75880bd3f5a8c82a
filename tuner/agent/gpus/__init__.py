"""The GPUs of this machine, as drivers list them and as an engine has assigned them."""
