"""Trove's users, databases and root of an instance."""

import secrets
from collections.abc import Callable

from local import postgres
from local.api import trove_checks
from local.api.http import NOT_FOUND, ApiError, Reply, Request, Route
from local.api.records import Record
from local.api.trove_guest import Guest


class Accounts:
    """Answers below one instance; `ready` finds the instance or refuses."""

    def __init__(self, guest: Guest, ready: Callable[[Request], Record]) -> None:
        self._guest = guest
        self._ready = ready

    def routes(self, one: str) -> list[Route]:
        """What is asked below `one`."""
        user = f"{one}/users/{{name}}"
        return [
            Route("GET", f"{one}/users", self.users),
            Route("POST", f"{one}/users", self.create_users),
            Route("PUT", f"{one}/users", self.change_passwords),
            Route("GET", user, self.user),
            Route("PUT", user, self.change_user),
            Route("DELETE", user, self.delete_user),
            Route("GET", f"{user}/databases", self.granted),
            Route("PUT", f"{user}/databases", self.grant),
            Route("DELETE", f"{user}/databases/{{database}}", self.revoke),
            Route("GET", f"{one}/databases", self.databases),
            Route("POST", f"{one}/databases", self.create_databases),
            Route("DELETE", f"{one}/databases/{{database}}", self.delete_database),
            Route("GET", f"{one}/root", self.root),
            Route("POST", f"{one}/root", self.enable_root),
        ]

    def users(self, request: Request) -> Reply:
        """All users, without passwords."""
        return Reply({"users": [_view(user) for user in self._ready(request)["users"]]})

    def user(self, request: Request) -> Reply:
        """One user."""
        return Reply({"user": _view(_user(self._ready(request), request.names["name"]))})

    def create_users(self, request: Request) -> Reply:
        """With ALL on the databases that each lists."""
        record, asked = self._ready(request), request.json("users")
        trove_checks.users(asked, record["databases"])
        known = {user["name"] for user in record["users"]}
        for entry in asked:
            if entry["name"] in known:
                raise trove_checks.refuse(f"User with name {entry['name']} already exists.")
        for entry in asked:
            databases = trove_checks.names(entry.get("databases", []), "databases")
            server = self._guest.server(record["id"])
            postgres.create_user(server, entry["name"], entry["password"], databases)
            record["users"].append({"name": entry["name"], "host": "%", "databases": databases})
        return self._keep(record)

    def change_passwords(self, request: Request) -> Reply:
        """New passwords for users that exist."""
        record, asked = self._ready(request), request.json("users")
        trove_checks.users(asked)
        for entry in asked:
            _user(record, entry["name"])
        for entry in asked:
            server = self._guest.server(record["id"])
            postgres.change_password(server, entry["name"], entry["password"])
        return Reply(None, 202)

    def change_user(self, request: Request) -> Reply:
        """A new password; here nothing else of a user changes."""
        record, asked = self._ready(request), request.json("user")
        name = _user(record, request.names["name"])["name"]
        if asked.get("name", name) != name:
            raise trove_checks.refuse("The local cloud does not rename users.")
        if "password" in asked:
            server = self._guest.server(record["id"])
            postgres.change_password(server, name, str(asked["password"]))
        return Reply(None, 202)

    def delete_user(self, request: Request) -> Reply:
        """Remove one with what it was granted."""
        record = self._ready(request)
        user = _user(record, request.names["name"])
        server = self._guest.server(record["id"])
        for database in user["databases"]:
            postgres.revoke(server, user["name"], database)
        postgres.drop_user(server, user["name"])
        record["users"].remove(user)
        return self._keep(record)

    def granted(self, request: Request) -> Reply:
        """The databases that a user may use."""
        user = _user(self._ready(request), request.names["name"])
        return Reply({"databases": [{"name": name} for name in user["databases"]]})

    def grant(self, request: Request) -> Reply:
        """More of them."""
        record = self._ready(request)
        user = _user(record, request.names["name"])
        for database in trove_checks.names(request.json("databases"), "databases"):
            _database(record, database)
            postgres.grant(self._guest.server(record["id"]), user["name"], database)
            user["databases"] = [*dict.fromkeys([*user["databases"], database])]
        return self._keep(record)

    def revoke(self, request: Request) -> Reply:
        """One less."""
        record = self._ready(request)
        user, database = _user(record, request.names["name"]), request.names["database"]
        if database not in user["databases"]:
            raise ApiError(NOT_FOUND, f"Database {database} cannot be found on the instance.")
        postgres.revoke(self._guest.server(record["id"]), user["name"], database)
        user["databases"].remove(database)
        return self._keep(record)

    def databases(self, request: Request) -> Reply:
        """All databases."""
        found = [{"name": name} for name in self._ready(request)["databases"]]
        return Reply({"databases": found})

    def create_databases(self, request: Request) -> Reply:
        """More of them."""
        record = self._ready(request)
        for name in trove_checks.names(request.json("databases"), "databases"):
            if name in record["databases"]:
                raise trove_checks.refuse(f"Database with name {name} already exists.")
            postgres.create_database(self._guest.server(record["id"]), name)
            record["databases"].append(name)
        return self._keep(record)

    def delete_database(self, request: Request) -> Reply:
        """One with all that is in it."""
        record, name = self._ready(request), request.names["database"]
        _database(record, name)
        postgres.drop_database(self._guest.server(record["id"]), name)
        record["databases"].remove(name)
        for user in record["users"]:
            user["databases"] = [known for known in user["databases"] if known != name]
        return self._keep(record)

    def root(self, request: Request) -> Reply:
        """Whether root was ever enabled."""
        return Reply({"rootEnabled": self._ready(request)["root"]})

    def enable_root(self, request: Request) -> Reply:
        """A new password for the superuser, who is `postgres` in PostgreSQL."""
        record = self._ready(request)
        password = str((request.body or {}).get("password") or secrets.token_urlsafe(24))
        postgres.change_superuser_password(self._guest.home(record["id"]), password)
        self._guest.change(record["id"], root=True)
        return Reply({"user": {"name": postgres.SUPERUSER, "password": password}})

    def _keep(self, record: Record) -> Reply:
        self._guest.change(record["id"], users=record["users"], databases=record["databases"])
        return Reply(None, 202)


def _user(record: Record, name: str) -> Record:
    for user in record["users"]:
        if user["name"] == name:
            found: Record = user
            return found
    raise ApiError(NOT_FOUND, f"User {name} cannot be found on the instance.")


def _database(record: Record, name: str) -> None:
    if name not in record["databases"]:
        raise ApiError(NOT_FOUND, f"Database {name} cannot be found on the instance.")


def _view(user: Record) -> Record:
    databases = [{"name": name} for name in user["databases"]]
    return {"name": user["name"], "host": user["host"], "databases": databases}
