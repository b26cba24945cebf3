"""The files that a site begins with when it connects a feed."""

from mappings.feed import Feed

_FEED = """\
# The settings of the feed; each line is the default, or an example behind '#'.  docs/hl7v2.md
feed: {name}
timezone: UTC                     # where timestamps without an offset were written, Europe/Berlin
default_authority: urn:example:mrn   # CHANGE THIS: the system of patient numbers without authority
authorities: {{}}                   # names in CX.4 -> systems: {{STMARY: https://stmary.example/mrn}}
code_systems: {{}}                  # names in CWE.3 -> code systems: {{LAB: https://stmary.example/lab}}
tables: {{}}                        # this feed's own codes: {{AdministrativeSex: {{W: female}}}}
unidentified: {unidentified}          # or create
authoritative: "true"             # "false": its demographics only fill gaps
ack: record                       # or inbox: AA as soon as the bytes are on the disk
ack_quarantined: AA               # or AE: the sender is told of what went to quarantine
lane_when_quarantined: continue   # or hold: what follows for that patient waits
mode: backload                    # then live: outside of live nothing goes out
"""
_MAP = """\
# What is different for this feed.  Everything that is not said here is as in {base}.
extends: {base}
feed: [{name}]
set:
  # Patient.maritalStatus: {{from: PID-16, table: OurMaritalStatus}}   # an element, as a whole
  # Patient.extension: []                                             # or none of it
  # Encounter/update: merge                                           # a key of the rule itself
remove:
  # - Encounter.serviceType
resources:
  # - make: Flag
  #   each: ZAL
  #   identity: {{key: [ZAL-2], with: [subject]}}
  #   set: {{status: {{const: active}}, subject: {{ref: Patient}}, code: {{text: ZAL-3}}}}
"""
_READ_ME = """\
Tests of the maps.  Each folder holds a message, in.hl7, and what shall become of it, expect.yaml:

    mkdir cases/admission; cp message.hl7 cases/admission/in.hl7
    tellonce map test FOLDER --record     # writes expect.yaml of cases that have none: read it!
    tellonce map test FOLDER
"""


def skeleton(feed: str, bases: list[str]) -> dict[str, str]:
    """Return file name -> text: the feed, a map for each base (``base/ADT``), and the cases."""
    made = {
        f"{feed}.yaml": _FEED.format(name=feed, unidentified=Feed().unidentified),
        "cases/README.txt": _READ_ME,
    }
    for base in bases:
        name = base.rpartition("/")[2]
        made[f"{feed}-{name}.yaml"] = _MAP.format(name=feed, base=base)
    return made
