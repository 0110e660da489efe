"""A group of commands that suggests one for a misspelt name."""

import difflib

import click


class Suggesting(click.Group):
    """A group of commands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begin with; suggest one for a misspelt name."""
        name, names = args[0], self.list_commands(ctx)
        if name not in names and not name.startswith("-") and not ctx.resilient_parsing:
            # "tokens" is like a part of "upload-token".
            known = {part: each for each in names for part in (*each.split("-"), each)}
            near = [known[one] for one in difflib.get_close_matches(name, known, n=1)]
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)
