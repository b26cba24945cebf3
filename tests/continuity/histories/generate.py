"""One history from one seed; the same seed is the same history on every machine."""

from random import Random

from tests.continuity.histories import measures, person, problems
from tests.continuity.histories.world import BIRTH, DAY, Moment, World


def history(seed: int) -> World:
    """Return a patient's years, with everything that was said in them."""
    rng = Random(seed)
    end = BIRTH + rng.randint(2000, 2400) * DAY + 12 * DAY // 24
    year, month = rng.randint(1930, 1999), rng.randint(1, 12)
    patient = {
        "resourceType": "Patient",
        "id": "p",
        "birthDate": f"{year}-{month:02}-{rng.randint(1, 28):02}",
        "gender": "female",
        "name": [{"family": f"Family{seed}", "given": ["Given"]}],
    }
    years_before = Moment(BIRTH + rng.randint(700, 1100) * DAY, None, sees_restricted=True)
    visit = Moment(end, "visit", sees_restricted=True)
    desk = Moment(end, "visit", sees_restricted=False)
    world = World(seed, rng, patient, end)
    person.around(world)
    person.demographics(world)
    person.coverage(world)
    person.forms(world)
    measures.happen(world)
    problems.happen(world)
    # Who may not see all is asked where there is something to hide, and in some others.
    hides = seed % 8 == 0 or any(claim.hidden for claim in world.claims)
    world.moments = (
        *((years_before,) if seed % 3 == 0 else ()),
        visit,
        *((desk,) if hides else ()),
    )
    world.events.sort(key=lambda event: event.at)  # stable: a resource's versions stay in order
    return world
