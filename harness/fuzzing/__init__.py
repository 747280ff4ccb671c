"""Looking for scenarios on which a release is wrong: drawn (`drawing`), run (`cells`), made small (`shrinking`)."""
