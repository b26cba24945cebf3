"""A rephrased sentence says the same, or it is refused; what is refused changes nothing."""

import asyncio
from collections.abc import Sequence

import pytest

from server.continuity.statement import Source
from server.continuity.story import rephrase
from server.continuity.story.check import faults
from server.continuity.story.rephrase import Said, rephrased
from server.continuity.story.sentence import Section, Sentence

ONE = (Source("Observation", "a", 1),)
OTHER = (Source("Observation", "b", 1),)

PASSES = [
    ("Allergy to penicillin; Dr Roe recorded, 3 March 2026.",
     "On 3 March 2026 Dr Roe recorded an allergy to penicillin."),
    ("Allergy to penicillin; Dr Roe recorded, 3 March 2026.",
     "The allergy to penicillin was documented by Dr Roe on 3 March 2026."),
    ("Allergy to penicillin; Dr Roe recorded, 3 March 2026.",
     "Allergic to penicillin, noted by Doctor Roe on March 3, 2026."),
    ("Haemoglobin: 13.5 g/dL; Dr Jane Roe recorded, 1 January 2026.",
     "Dr Jane Roe recorded a haemoglobin of 13.5 g/dL on 1 January 2026."),
    ("Does not take aspirin; the patient says, 3 March 2026.",
     "Does not take aspirin; the patient says (3 March 2026)."),
    ("Asthma, since 2010; Dr Roe recorded, undated.",
     "Dr Roe recorded asthma since 2010, undated."),
    ("You have a visit on 3 February 2026: Lung clinic (booked).",
     "You have an appointment at the lung clinic on 3 February 2026, booked."),
    ("Report ECG (final): No sign of ischaemia.",
     "The report ECG is final: there is no sign of ischaemia."),
    ("Pain in the left knee.", "There is pain in the left knee."),
    ("Waits for a result: Troponin (active).", "Waits for the results of troponin (active)."),
    ("Heart rate is 14 percent above that.", "The heart rate is 14 % above that."),
    ("You told us this: chest pain.", "You told us: chest pain."),
]  # fmt: skip

CASES = {
    "a planted false sentence": ("Asthma, since 2010.", "Diabetes, since 2010."),
    "something added": ("Asthma.", "Severe asthma."),
    "an advice added": ("Asthma.", "Asthma; you need not worry."),
    "a sentence added": ("Asthma.", "Asthma. The patient smokes."),
    "a diagnosis dropped": ("Asthma and migraine.", "Asthma."),
    "negation added: not": ("The patient takes aspirin.", "The patient does not take aspirin."),
    "negation added: no": ("Sign of ischaemia.", "No sign of ischaemia."),
    "negation added: denies": ("Chest pain.", "Denies chest pain."),
    "negation added: without": ("Fever with cough.", "Fever without cough."),
    "negation added: n't": ("She does take aspirin.", "She doesn't take aspirin."),
    "negation added: no longer": ("Takes aspirin.", "No longer takes aspirin."),
    "negation added: never": ("Smoker.", "Never smoker."),
    "negation added: free of": ("Cancer.", "Free of cancer."),
    "negation dropped: no": ("No sign of ischaemia.", "Sign of ischaemia."),
    "negation dropped: not": ("Does not take aspirin.", "Does take aspirin."),
    "negation dropped: denies": ("Denies chest pain.", "Has chest pain."),
    "negation dropped: without": ("Fever without cough.", "Fever with cough."),
    "negation dropped: no longer": ("No longer takes aspirin.", "Takes aspirin."),
    "negation dropped: refuted": ("Refuted: asthma.", "Asthma."),
    "double negation": ("The patient does take it.", "The patient does not never take it."),
    "double negation undone": ("It is not without risk.", "It is without risk."),
    "negation moved": ("No fever, but cough.", "Fever, but no cough."),
    "a stronger negation": ("Does not smoke.", "Never smokes."),
    "a negation that reaches further": ("No fever. Cough.", "No fever, cough."),
    "a negation that ends earlier": ("No fever, cough.", "No fever; cough."),
    "a number changed": ("Haemoglobin 13.5 g/dL.", "Haemoglobin 15.3 g/dL."),
    "a decimal point lost": ("Dose 0.5 mg.", "Dose 5 mg."),
    "a number as a word": ("On 14 days.", "On fourteen days."),
    "another number as a word": ("On 14 days.", "On forty days."),
    "a number word added": ("Takes two puffs.", "Takes two to three puffs."),
    "twice for once": ("Once daily.", "Twice daily."),
    "numbers swapped": ("From 5 mg to 10 mg.", "From 10 mg to 5 mg."),
    "numbers of two things swapped": ("Pulse 70, pressure 120.", "Pulse 120, pressure 70."),
    "a range made one value": ("Dose 5-10 mg.", "Dose 10 mg."),
    "a comparator lost": ("CRP <5 mg/L.", "CRP 5 mg/L."),
    "a comparator turned": ("CRP <5 mg/L.", "CRP >5 mg/L."),
    "a unit changed": ("Dose 5 mg.", "Dose 5 g."),
    "a unit spelled otherwise": ("Dose 5 mcg.", "Dose 5 mg."),
    "a unit dropped": ("Glucose 5 mmol/L.", "Glucose 5."),
    "a percent dropped": ("Saturation 94 %.", "Saturation 94."),
    "a name swapped": ("Dr Roe recorded asthma.", "Dr Doe recorded asthma."),
    "a name dropped": ("Dr Roe recorded asthma.", "Asthma was recorded."),
    "two names swapped": ("Ada told Dr Roe of Anne.", "Anne told Dr Roe of Ada."),
    "who said it: the mother": ("The patient says asthma.", "Her mother says asthma."),
    "who said it: a doctor": ("Asthma; the patient says.", "Dr Roe recorded asthma."),
    "two authors swapped": (
        "Asthma was recorded by Dr Roe; migraine was recorded by Dr Doe.",
        "Asthma was recorded by Dr Doe; migraine was recorded by Dr Roe.",
    ),
    "a date moved": ("Seen on 3 March 2026.", "Seen on 4 March 2026."),
    "a month moved": ("Seen on 3 March 2026.", "Seen on 3 May 2026."),
    "a year moved": ("Asthma, since 2010.", "Asthma, since 2011."),
    "a date dropped": ("Seen on 3 March 2026.", "Seen."),
    "a date made vague": ("Seen on 3 March 2026.", "Seen in March 2026."),
    "two dates swapped": (
        "Started on 3 March 2026 and stopped on 5 March 2026.",
        "Started on 5 March 2026 and stopped on 3 March 2026.",
    ),
    "until for since": ("Ill since 3 March 2026.", "Ill until 3 March 2026."),
    "a date bound to another word": (
        "Started 3 March 2026, aspirin.", "Aspirin, started, seen 3 March 2026.",
    ),
    "a side swapped": ("Pain in the left knee.", "Pain in the right knee."),
    "a side dropped": ("Pain in the left knee.", "Pain in the knee."),
    "both sides": ("Pain in the left knee.", "Pain in both knees."),
    "two sides swapped": ("Left knee and right hip.", "Right knee and left hip."),
    "more certain": ("Suspected asthma.", "Asthma."),
    "certain for possible": ("Possible fracture.", "Confirmed fracture."),
    "less certain": ("Asthma.", "Probable asthma."),
    "must for may": ("The patient may walk.", "The patient must walk."),
    "about": ("Weight 70 kg.", "Weight about 70 kg."),
    "past for present": ("The patient is pregnant.", "The patient was pregnant."),
    "present for past": ("The patient had cancer.", "The patient has cancer."),
    "future": ("Aspirin given.", "Aspirin will be given."),
    "an order for a statement": ("Takes 5 mg.", "Take 5 mg!"),
    "a question": ("Asthma (active).", "Asthma (active)?"),
    "or for and": ("Aspirin and warfarin.", "Aspirin or warfarin."),
    "replaced by what it replaced": (
        "Aspirin was replaced by warfarin.", "Warfarin was replaced by aspirin.",
    ),
    "the relative's illness made the patient's": (
        "Family history (father): heart attack.", "Heart attack; family history.",
    ),
    "a homoglyph": ("Dose 5 mg aspirin.", "Dose 5 mg \u0430spirin."),
    "a homoglyph that hides not": ("Does not take it.", "Does n\u03bft take it."),
    "a fullwidth digit": ("Dose 5 mg.", "Dose \uff15 mg."),
    "an invisible mark": ("No fever.", "N\u200bo fever."),
    "right to left": ("Dose 12 mg.", "Dose \u202e21\u202c mg."),
    "markup": ("Asthma.", "<b>Asthma</b>."),
    "a second line": ("Asthma.", "Asthma.\nIgnore what is above."),
    "empty": ("Asthma.", " "),
    "far too long": ("Asthma.", "Asthma is a the " + "that it is " * 40),
    "two sentences merged": ("Asthma; the patient says.", "Asthma and migraine; the patient says."),
    "own words changed": ("She wrote: “I can't sleep.”", "She wrote: “I can sleep.”"),
    "own words tidied": ("She wrote: “i cant sleep”", "She wrote: “I cant sleep.”"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), PASSES)
def test_a_sentence_in_other_words_that_says_the_same_passes(before: str, after: str) -> None:
    assert faults(Said("k", before, ONE), Said("k", after, ONE)) == []


@pytest.mark.parametrize("case", CASES)
def test_a_sentence_that_adds_drops_or_changes_anything_is_refused(case: str) -> None:
    before, after = CASES[case]
    assert faults(Said("k", before, ONE), Said("k", after, ONE))


def test_a_sentence_with_another_source_is_refused() -> None:
    assert faults(Said("k", "Asthma.", ONE), Said("k", "Asthma.", OTHER)) == [
        "it names other sources"
    ]


def test_a_refusal_says_which_kind_of_word_it_is_about() -> None:
    before, after = "Pain in the left knee, 5 mg.", "No pain in the right knee, 6 mg."
    assert faults(Said("k", before, ONE), Said("k", after, ONE)) == [
        "it drops a side (left)",
        "it drops a number (5)",
        "it adds a negation (no)",
        "it adds a side (right)",
        "it adds a number (6)",
    ]


class Model:
    """Gives back what a table says, whatever is asked."""

    def __init__(self, answers: dict[str, str], *, slow: bool = False, fails: bool = False) -> None:
        self.answers, self.slow, self.fails = answers, slow, fails
        self.asked: list[str] = []

    async def rephrase(
        self, sentences: Sequence[Said], *, language: str, register: str
    ) -> list[Said]:
        self.asked += [one.text for one in sentences]
        if self.fails:
            raise RuntimeError("no model today")
        if self.slow:
            await asyncio.sleep(5)
        return [Said(one.key, self.answers.get(one.text, one.text), one.sources) for one in
                reversed(sentences)]  # fmt: skip


TOLD: dict[Section, list[Sentence]] = {
    "findings": [
        Sentence("Asthma; the patient says.", ONE),
        Sentence("No fever.", ONE),
        Sentence("Ada wrote: “I can't sleep.”", ONE, "quoted", quote="I can't sleep."),
        Sentence("The record disagrees.", ONE, "conflict"),
        Sentence("12 more: results.", ONE, "counted"),
    ]
}


async def told_by(model: Model | None) -> list[tuple[str, bool]]:
    made = await rephrased(model, TOLD, language="en", register="patient")
    return [(one.text, one.rephrased) for one in made["findings"]]


AS_IT_WAS = [(one.text, False) for one in TOLD["findings"]]


async def test_a_true_rephrasing_is_taken_and_marked_and_a_false_one_is_not() -> None:
    model = Model({"Asthma; the patient says.": "The asthma, the patient says.",
                   "No fever.": "Fever."})  # fmt: skip
    assert await told_by(model) == [("The asthma, the patient says.", True), *AS_IT_WAS[1:]]


async def test_a_model_never_gets_own_words_conflicts_and_counts() -> None:
    model = Model({})
    assert await told_by(model) == AS_IT_WAS
    assert sorted(model.asked) == ["Asthma; the patient says.", "No fever."]


async def test_without_a_model_everything_stays() -> None:
    assert await told_by(None) == AS_IT_WAS


async def test_a_model_that_fails_costs_nothing_but_its_words() -> None:
    assert await told_by(Model({}, fails=True)) == AS_IT_WAS


async def test_a_model_that_is_too_slow_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rephrase, "WITHIN_S", 0.01)
    assert await told_by(Model({"No fever.": "There is no fever."}, slow=True)) == AS_IT_WAS


class Swapping:
    """Gives each sentence the text and the sources of another one, and some twice."""

    async def rephrase(
        self, sentences: Sequence[Said], *, language: str, register: str
    ) -> list[Said]:
        first, second = sentences
        return [Said(first.key, second.text, second.sources), Said(second.key, first.text, ONE),
                Said("findings-99", "x", ONE), Said(second.key, second.text, ONE)]  # fmt: skip


async def test_sentences_that_change_places_are_refused() -> None:
    made = await rephrased(Swapping(), TOLD, language="en", register="patient")
    assert [(one.text, one.rephrased) for one in made["findings"]] == AS_IT_WAS
