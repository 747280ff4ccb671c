"""What is found by how few cells: planted faults and public bugs, on each standard matrix."""
