"""Make the embedded checkpoint from nothing: data, training, what it knows, evaluation, package, targets."""
