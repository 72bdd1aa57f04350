"""Looking at a dataset before training on it: its rows, whether its media are there and decode, how long they are."""
