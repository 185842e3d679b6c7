"""What is known of OpenCompass's evaluator classes, by name, beyond what their details say.

Read in the source of OpenCompass 0.5.4; a class that stands nowhere here is taken at its details'
word, if they give a verdict per sample.
"""

from __future__ import annotations

COMPARES_TEXT = frozenset({"AccEvaluator"})
"""Right exactly when prediction and reference are the same text, as ``str`` gives it."""

DEGREES = frozenset(
    {
        "AverageRougeScoreEvaluator",
        "BiodataECNumberEvaluator",
        "BiodataMixedScoreEvaluator",
        "BleuEvaluator",
        "CMPhysBenchEvaluator",
        "F1ScoreEvaluator",
        "FTSEvaluator",
        "HealthBenchEvaluator",
        "InfiniteBenchmathcalcEvaluator",
        "InternSandboxEvaluator",
        "JiebaRougeEvaluator",
        "LVEvalF1Evaluator",
        "LVEvalOPTF1Evaluator",
        "LVEvalOPTRougeEvaluator",
        "LongBenchClassificationEvaluator",
        "LongBenchCodeSimEvaluator",
        "LongBenchCountEvaluator",
        "LongBenchF1Evaluator",
        "LongBenchRetrievalEvaluator",
        "LongBenchRougeEvaluator",
        "MAEEvaluator",
        "MathEEDEvaluator",
        "MeteorEvaluator",
        "Mol_Instructions_Evaluator_Protein",
        "Mol_Instructions_Evaluator_Protein_Design",
        "NeedleBenchMultiEvaluator",
        "NeedleBenchOriginEvaluator",
        "NeedleBenchParallelEvaluator",
        "OpenSWIMSEEvaluator",
        "PMMEvalFloresEvaluator",
        "RMSEEvaluator",
        "RougeEvaluator",
        "RulerCweEvaluator",
        "RulerFweEvaluator",
        "RulerNiahEvaluator",
        "RulerVtEvaluator",
        "SRbenchDatasetEvaluator",
        "ToxicEvaluator",
        "TruthfulQAEvaluator",
    }
)
"""Overlap, distance and the like: a number per sample, where nothing is right or wrong."""

WHOLES = frozenset(
    {
        "AveragePPLEvaluator",
        "BPCEvaluator",
        "BiodataAucEvaluator",
        "BiodataMCCEvaluator",
        "BiodataPCCEvaluator",
        "BiodataR2Evaluator",
        "BiodataSpearmanEvaluator",
        "GUE_Evaluator",
        "LLM4Mat_Evaluator",
        "ProcessBenchEvaluator",
        "RNA_Evaluator",
        "UMG_Evaluator",
        "UPG_Evaluator",
        "composition_Evaluator",
        "material_Evaluator",
        "uncond_material_Evaluator",
    }
)
"""Correlations, and rates of a whole set: their score is no mean over samples."""

UNGRADED = frozenset(
    {
        "CMP_KSP_Evaluator",  # reads the question where it should read the answer
        "GaokaoBenchEvaluator_cloze",
        "GaokaoBenchEvaluator_correction",
        "GaokaoBenchEvaluator_subjective",
        "P_BSP_Evaluator",  # parses an answer again that is parsed already
    }
)
"""OpenCompass has no rule for these, or one that no answer passes."""

RANDOM = frozenset({"Hard_TSP_Evaluator"})
"""Scored once more, a sample could get another verdict."""

FLAG_METRICS = {
    "IFBenchEvaluator": "Prompt-level-strict-accuracy",
    "LCPassKEvaluator": "pass@1",
}
"""The metric that the verdicts must reproduce where it is not the headline."""

UNORDERED = frozenset({"LCPassKEvaluator"})
"""Their details stand in the order in which programs ended."""

NO_ANSWER = {
    "CascadeEvaluator": ("[]",),
    "Gsm8kEvaluator": ("NULL",),
    "MATHVerifyEvaluator": ("[]",),
    "MedCalcOfficial_Evaluator": ("N/A", "Not Found"),
    "PMMEvalMHellaswagEvaluator": ("no answer",),
    "PMMEvalMLogiQAEvaluator": ("no answer",),
    "PMMEvalMMMLUEvaluator": ("no answer",),
    "PMMEvalXNLIEvaluator": ("no answer",),
}
"""What the details say where the evaluator took no answer from the prediction."""

NOT_LOOKED_AT = frozenset({"MATHVerifyEvaluator", "CascadeEvaluator"})
"""Null as the answer means that the prediction was not looked at (``upstream_fixes``)."""

REPEATS_PREDICTION = frozenset(
    {"DropOpenAIEvaluator", "ProcessBenchEvaluator", "korbenchEvaluator"}
)
"""The details give the whole prediction, though the evaluator takes an answer from it."""


NO_VERDICTS = DEGREES | WHOLES | UNGRADED | RANDOM
"""Evaluators whose verdicts on single samples would mean nothing."""


def why_unknown(evaluator: str) -> str:
    """Why an evaluator's result does not tell which samples are right."""
    if evaluator in DEGREES:
        return f"{evaluator} gives a degree, not right or wrong"
    if evaluator in WHOLES:
        return f"{evaluator} scores all samples together"
    if evaluator in UNGRADED:
        return f"{evaluator} grades no answer: it reports 0 for whatever the model says"
    if evaluator in RANDOM:
        return f"{evaluator} compares with a tour that it draws by chance"
    return f"{evaluator or 'the evaluator'} does not say which samples are right"
