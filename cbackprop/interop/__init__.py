"""Models of other libraries made of ours, and ours of theirs."""
