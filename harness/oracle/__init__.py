"""The float64 oracle: what a right step is, and what a recorded step really weighed. Imports no framework."""

import torch

# The models are tiny. On an idle machine of two cores a second thread gains next to nothing (1.2 s for a cell of three
# steps either way); beside the cells that run meanwhile, the threads' waiting for each other made it 45 s instead of 3.
torch.set_num_threads(1)
