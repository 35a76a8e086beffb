from cbackprop.network import Network
from cbackprop.optimizers import _MaybeNone

class TrainingState:
    epoch: int
    loss: float
    network: Network
    validation_loss: float | _MaybeNone
    validation_score: float | _MaybeNone
    def __init__(
        self, epoch: int, loss: float, network: Network, validation_loss: float | None = None
    ) -> None: ...
