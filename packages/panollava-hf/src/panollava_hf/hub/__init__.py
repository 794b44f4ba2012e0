"""From a checkpoint to a folder that anyone can load, and from there to the Hub."""
