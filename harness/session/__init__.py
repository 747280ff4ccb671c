"""One run of many cells: what is to run (`plan`), where it is kept (`folder`), running it (`session`, of `parts`)."""
