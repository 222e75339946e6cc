"""The engine that fits untrained networks, and the rules that stop it: what methods import."""

from .ensemble import Adaptation as Adaptation
from .ensemble import Estimate as Estimate
from .ensemble import Loss as Loss
from .ensemble import Member as Member
from .ensemble import Objective as Objective
from .ensemble import Predictor as Predictor
from .ensemble import Recipe as Recipe
from .ensemble import Schedule as Schedule
from .ensemble import fit as fit
from .ensemble import fit_each as fit_each
from .ensemble import fit_one as fit_one
from .ensemble import seeded as seeded
from .stopping import RULES as RULES
from .stopping import Stop as Stop
from .stopping import Stopper as Stopper
from .stopping import noise_threshold as noise_threshold
