"""What the facts mean to a reader: pure folds of the events, and queries over them."""
