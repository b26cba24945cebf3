"""What a function is, and how it goes over the items of a collection."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.items import Item, Items, system

Run = Callable[[Items, Environment], Items]
"""A compiled expression: (focus, environment) -> collection."""

# Nearly every $index is one of these.
_INDEXES: list[Items] = [[system(at)] for at in range(64)]


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the language.

    ``run(env, items, *collections)``; when it is ``lazy``, its arguments are evaluated by itself:
    ``run(env, items, focus, *expressions)``, ``focus`` being that of the place of the call.
    """

    run: Callable[..., Items]
    least: int = 0
    most: int = 0
    lazy: bool = False

    @property
    def takes(self) -> str:
        """How many arguments it takes, in words."""
        if self.least == self.most:
            return f"{self.most} argument" + ("" if self.most == 1 else "s")
        return f"{self.least} to {self.most} arguments"


def each(env: Environment, items: Items, run: Run) -> Iterator[tuple[Item, Items]]:
    """Yield every item with what ``run`` makes of it as ``$this``; ``$index`` counts from 0."""
    outer = env.index
    try:
        for at, item in enumerate(items):
            env.index = _INDEXES[at] if at < len(_INDEXES) else [system(at)]
            env.spend(1)
            yield item, run([item], env)
    finally:
        env.index = outer
