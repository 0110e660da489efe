"""Old import path of the database's dynamic providers.

Pulumi pickles a dynamic provider into the state by module and class name: a stack deployed before
they moved to `infra.providers.database` is refreshed and destroyed by what its state names.
"""

from infra.providers.database import TroveInstanceProvider, TroveReadyProvider

__all__ = ["TroveInstanceProvider", "TroveReadyProvider"]
