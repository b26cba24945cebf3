"""The story of a patient: sentences that each name the versions they were read from.

``tell`` makes them under the caller's access, ``composition`` puts them into a Composition.
Nothing is invented: no source, no sentence.
"""
