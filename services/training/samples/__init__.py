"""Small sets of questions in the layouts of the data sets they stand in for, from seeds that training never sees."""
