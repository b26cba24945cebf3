"""The command line (console script ``tellonce``)."""

import gc


def main() -> None:
    """Run the command that the arguments name."""
    # What is imported lives as long as the program: looking through it again and again for what
    # could be let go took a sixth of every start.
    gc.disable()
    from server.commands.line import cli

    gc.enable()
    gc.set_threshold(50_000, 20, 50)  # a start makes many more such things: tables, maps, routes
    cli()


if __name__ == "__main__":
    main()
