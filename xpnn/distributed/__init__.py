"""Training by several processes: each computes its rows of every batch, and all make the same update.

`connect` gives a Communicator, which a `Trainer` or `Model.fit` takes as `communicator=`; `xpnn train` does so itself
under mpiexec, srun and torchrun. Layers, losses and optimizers do not notice: the sums over the processes are made
by a kernel of the backend, `all_reduce`.
"""

from xpnn.distributed.communicator import Communicator
from xpnn.distributed.connect import ENGINES, connect

__all__ = ["ENGINES", "Communicator", "connect"]
