"""The functions of FHIRPath, one file for each section of the specification."""

from server.fhir.fhirpath.functions import (
    boundaries,
    combining,
    conversion,
    existence,
    filtering,
    math,
    resources,
    strings,
    subsetting,
    terminology,
    tree,
    utility,
)
from server.fhir.fhirpath.functions.function import Function

FUNCTIONS: dict[str, Function] = {
    **existence.FUNCTIONS,
    **filtering.FUNCTIONS,
    **subsetting.FUNCTIONS,
    **combining.FUNCTIONS,
    **conversion.FUNCTIONS,
    **strings.FUNCTIONS,
    **math.FUNCTIONS,
    **tree.FUNCTIONS,
    **utility.FUNCTIONS,
    **boundaries.FUNCTIONS,
    **resources.FUNCTIONS,
    **terminology.FUNCTIONS,
}
