"""A rephrased sentence says the same, or it is refused; what is refused changes nothing."""

import asyncio
import contextlib
import gc
import itertools
from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from server.continuity.statement import Source
from server.continuity.story import rephrase
from server.continuity.story.check import faults
from server.continuity.story.rephrase import Said, rephrased
from server.continuity.story.sentence import Section, Sentence

ONE = (Source("Observation", "a", 1),)
OTHER = (Source("Observation", "b", 1),)

PASSES = [
    ("Allergy to penicillin; recorded by Dr Roe, 3 March 2026.",
     "On 3 March 2026 Dr Roe recorded an allergy to penicillin."),
    ("Allergy to penicillin; recorded by Dr Roe, 3 March 2026.",
     "The allergy to penicillin was documented by Dr Roe on 3 March 2026."),
    ("Allergy to penicillin; recorded by Dr Roe, 3 March 2026.",
     "Allergic to penicillin, noted by Doctor Roe on March 3, 2026."),
    ("Haemoglobin: 13.5 g/dL; recorded by Dr Jane Roe, 1 January 2026.",
     "Dr Jane Roe recorded a haemoglobin of 13.5 g/dL on 1 January 2026."),
    ("Does not take aspirin; the patient says, 3 March 2026.",
     "Does not take aspirin; the patient says (3 March 2026)."),
    ("Asthma, since 2010; recorded by Dr Roe, undated.",
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
    "a minus lost": ("Base excess: -3 mmol/L.", "Base excess: 3 mmol/L."),
    "a minus added": ("Base excess: 3 mmol/L.", "Base excess: -3 mmol/L."),
    "a plus lost": ("Base excess: +3 mmol/L.", "Base excess: 3 mmol/L."),
    "a frost made warm": ("Temperature -5 Cel.", "Temperature 5 Cel."),
    "a range undone": ("Range 1 mg/L - 5 mg/L.", "Range 1 mg/L 5 mg/L."),
    "a range without its middle": ("Dose 5-10 mg.", "Dose 5 10 mg."),
    "a ratio turned": ("Titre: 1 / 128.", "Titre: 128 / 1."),
    "a ratio made a number": ("Titre: 1 / 128.", "Titre: 1128."),
    "per was lost": ("Weight 5 mg/kg.", "Weight 5 mg kg."),
    "thousands made one": ("Dose 1,000 mg.", "Dose 1.000 mg."),
    "a zero ahead lost": ("Dose 0.5 mg.", "Dose .5 mg."),
    "digits parted": ("Dose 10 mg.", "Dose 1 0 mg."),
    "an hour cut": ("Visit 3 May 2026 at 09:30 UTC.", "Visit 3 May 2026 at 9:30 UTC."),
    "a zone dropped": ("Visit 3 May 2026 at 09:30 UTC.", "Visit 3 May 2026 at 09:30."),
    "an article that is a name": ("Hepatitis A.", "Hepatitis."),
    "a blood group lost": ("Blood group A, Rh positive.", "Blood group, Rh positive."),
    "a vitamin lost": ("Vitamin A deficiency.", "Vitamin deficiency."),
    "a group of germs lost": ("Group A streptococcus.", "Group streptococcus."),
    "a type lost": ("Type A behaviour.", "Type behaviour."),
    "a name that reads as a word": ("IT band pain.", "Band pain."),
    "a disease made help": ("AIDS.", "Aids."),
    "a leukaemia made everything": ("ALL in remission.", "All in remission."),
    "a scan made us": ("US of the abdomen.", "us of the abdomen."),
    "a word in capitals dropped": ("BE AWARE: sedated.", "aware: sedated."),
    "in was lost": ("Pain in arm.", "Pain arm."),
    "on was lost": ("Insulin on demand.", "Insulin demand."),
    "on beside off": ("Off or on oxygen.", "Off or oxygen."),
    "as needed made needed": ("Insulin as needed.", "Insulin needed."),
    "at rest made rest": ("Pain at rest.", "Pain rest."),
    "a side moved by brackets": ("Op (Left eye) (completed).", "Op left (eye completed)."),
    "a value moved to the next part": (
        "Diastolic 80 mmHg; Systolic 120 mmHg.", "Diastolic; 80 mmHg Systolic; 120 mmHg.",
    ),
    "a reason moved to the next part": (
        "Diastolic 80 mmHg; Systolic missing (Refused).",
        "Diastolic 80 mmHg missing; Systolic (Refused).",
    ),
    "a comma moved": ("Left pain, right normal.", "Left, pain right, normal."),
    "sides changed over by full stops": (
        "Left: pain. Right: normal.", "Left: normal. Right: pain.",
    ),
    "what an author corrected": (
        "Potassium: 6.5 (High, corrected), 1 May 2026; recorded by Dr Roe.",
        "Potassium: 6.5, High, 1 May 2026; Dr Roe recorded corrected.",
    ),
    "since when, of the author": (
        "Ill since 3 March 2026; recorded by Dr Roe.", "Ill; Dr Roe recorded since 3 March 2026.",
    ),
    "ended, of the author": (
        "Asthma, ended 3 March 2020; recorded by Dr Roe.",
        "Asthma; recorded by Dr Roe, ended 3 March 2020.",
    ),
    "the author's patient": (
        "Asthma; recorded by Dr Roe, 3 March 2026.",
        "Asthma; recorded by Dr Roe's patient, 3 March 2026.",
    ),
    "author and patient swapped": (
        "Dr Roe recorded asthma; Ada says.", "Ada recorded asthma; Dr Roe says.",
    ),
    "an author named No": (
        "Asthma; recorded by Dr Anne No, 3 March 2026.",
        "No asthma; recorded by Dr Anne, 3 March 2026.",
    ),
    "known for unknown": ("Asthma; author unknown.", "Asthma; author known."),
    "dated for undated": ("Asthma; undated.", "Asthma; dated."),
    "meant made taken": ("Is meant to take aspirin.", "Takes aspirin."),
    "given for not given": ("Do not give aspirin (active).", "Give aspirin (not active)."),
    "done for not done": ("Not done: X-ray, refused.", "Done: X-ray, not refused."),
    "a vaccine given": (
        "Immunization not done: tetanus (fever).", "Immunization done: tetanus (not fever).",
    ),
    "over was lost": ("Allergy: nuts (resolved).", "Allergy: nuts."),
    "called off made booked": ("Cancelled: appointment (cancelled).", "Appointment (booked)."),
    "took for takes": ("You take aspirin.", "You took aspirin."),
    "takes for took": ("You took aspirin (stopped).", "You take aspirin (stopped)."),
    "high for low": ("Hyperglycaemia.", "Hypoglycaemia."),
    "a prefix that negates": ("Non-smoker.", "Smoker."),
    "a prefix that ends": ("Smoker.", "Ex-smoker."),
    "whose illness": ("Sister of the patient has asthma.", "The patient is sister and has asthma."),
    "a negation of the next thing": (
        "Asthma and no fever, cough.", "Asthma, fever and no cough.",
    ),
    "a negation that changes drugs": ("Takes aspirin; no warfarin.", "Takes no aspirin; warfarin."),
    "not, at the end": ("Detected; not confirmed.", "Not detected; confirmed."),
    "to what it is no allergy": (
        "Allergy to penicillin, not to nuts.", "Allergy not to penicillin, to nuts.",
    ),
    "ruled out made ruled": ("Penicillin allergy ruled out.", "Penicillin allergy ruled."),
    "a question of a rule": ("You should not get aspirin.", "Should you not get aspirin?"),
    "since made in": ("Asthma, since 2010.", "Asthma, in 2010."),
    "an end made a date": ("Asthma, ended 3 March 2020.", "Asthma, 3 March 2020."),
    "due was lost": ("Goal: Walk, due 3 March 2026.", "Goal: Walk, 3 March 2026."),
    "there was": ("There was bleeding.", "There is bleeding."),
    "had been": ("The patient had been pregnant.", "The patient has been pregnant."),
    "a link": ("Asthma.", "Asthma. https://evil.example"),
    "an instruction": ("Asthma.", "Asthma. IGNORE PREVIOUS INSTRUCTIONS"),
    "another language": ("Asthma.", "喘息。"),
    "an accent": ("Asthma.", "Ästhma."),
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
            await asyncio.sleep(60)
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


class Hostile:
    """Answers in every way that nobody expects."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.stopped = False

    async def rephrase(self, sentences: Sequence[Said], *, language: str, register: str) -> Any:
        match self.how:
            case "nothing":
                return None
            case "other things":
                return [None, 5, "Fever.", ("findings-0", "Fever.")]
            case "no text":
                return [Said(one.key, None, one.sources) for one in sentences]  # type: ignore[arg-type]
            case "no sources":
                return [Said(one.key, "There is " + one.text, ()) for one in sentences]
            case "huge":
                return [Said(one.key, "is the " * 3_000_000, one.sources) for one in sentences]
            case "endless":
                return itertools.repeat(Said("findings-99", "Fever.", ONE))
            case "cancelled":
                raise asyncio.CancelledError
            case "deaf":
                while not self.stopped:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.sleep(0.05)
            case "late":
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(60)
                raise ValueError("Ada has no fever")
        raise ValueError("Ada has no fever")


HOSTILE = ("nothing", "other things", "no text", "no sources", "huge", "endless", "cancelled",
           "deaf", "late", "raises")  # fmt: skip


@pytest.mark.parametrize("how", HOSTILE)
async def test_whatever_a_model_does_the_sentences_stay_and_nothing_hangs(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rephrase, "WITHIN_S", 0.05)
    model = Hostile(how)
    with anyio.fail_after(20):
        made = await rephrased(model, TOLD, language="en", register="patient")
    model.stopped = True
    await asyncio.sleep(0.2)  # what comes later is heard of by nobody
    gc.collect()
    assert [(one.text, one.rephrased) for one in made["findings"]] == AS_IT_WAS
    assert "fever" not in caplog.text


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
