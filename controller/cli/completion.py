"""`controller completion SHELL`: print the script that makes a shell complete commands, options and names."""

import click

from controller.cli.help_pages import Command


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script for completion in bash, zsh or fish.

    It completes commands, options, and names such as those of deployments and runs. To use it in every shell:

    \b
    bash: echo 'source <(controller completion bash)' >> ~/.bashrc
    zsh:  echo 'source <(controller completion zsh)' >> ~/.zshrc
    fish: controller completion fish > ~/.config/fish/completions/controller.fish
    """  # noqa: D301  # click reads the character
    from click.shell_completion import get_completion_class

    from controller.cli.main import COMPLETION_VARIABLE, cli

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(cli, {}, "controller", COMPLETION_VARIABLE).source(), nl=False)
