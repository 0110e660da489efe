"""The one error a person sees: a sentence and an exit code, never a traceback."""

import click


class PipelineError(click.ClickException):
    """One sentence that names the thing, the value and the remedy."""

    def show(self, file: object = None) -> None:
        """Print the sentence to standard error."""
        click.echo(f"pipeline: {self.message}", err=True)
