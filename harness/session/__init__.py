"""One run of many cells: what is to run (`plan`), where it is kept (`folder`), and running it (`session`)."""
