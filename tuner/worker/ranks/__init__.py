"""Several processes that train one trial: started by torchrun, followed by the worker."""
