"""What is asked of a store, a file for each group of questions."""
