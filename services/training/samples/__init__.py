"""Small datasets in the layouts of those they stand in for, from seeds that training never uses."""
