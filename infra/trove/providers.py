"""Old import path of the database's providers: deployed states pickle them by module and class."""

from infra.providers.database import TroveInstanceProvider, TroveReadyProvider  # noqa: F401
