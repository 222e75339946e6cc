"""The engine that fits untrained networks: what a method passes to it and what it makes of that.

Methods differ in four things: the network, its input, the loss and the stop. A `Recipe` has them, and `fit` is the loop
that they share. `fit_network` does the same for one plain `torch.nn.Module`.

    streams, schedule, stopping   random streams of a run; learning rates; when a fit ends
    objective                     what a network is fitted to: input, loss, estimate
    optimizers, soap              who descends
    fold                          N networks as one module that descends
    member                        one problem among those fitted side by side, and its checkpoint
    recipe                        the parts in which methods differ
    ensemble                      the loop
    fits                          fit, fit_one, fit_each: from problems to outcomes
    one_network                   fit_network: the same for one plain module
"""

from .ensemble import Outcome as Outcome
from .fits import fit as fit
from .fits import fit_each as fit_each
from .fits import fit_one as fit_one
from .fold import Fold as Fold
from .member import Member as Member
from .objective import Draw as Draw
from .objective import Estimate as Estimate
from .objective import Loss as Loss
from .objective import LossOf as LossOf
from .objective import Objective as Objective
from .objective import Predictor as Predictor
from .objective import Remembering as Remembering
from .one_network import fit_network as fit_network
from .optimizers import OPTIMIZERS as OPTIMIZERS
from .optimizers import check_optimizer as check_optimizer
from .recipe import Adaptation as Adaptation
from .recipe import Recipe as Recipe
from .schedule import Schedule as Schedule
from .stopping import RULES as RULES
from .stopping import Stop as Stop
from .stopping import Stopper as Stopper
from .stopping import noise_threshold as noise_threshold
from .streams import seeded as seeded
