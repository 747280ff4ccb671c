"""One cell over several machines."""
