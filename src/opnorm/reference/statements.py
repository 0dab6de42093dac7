"""What the paper says in its main text, each with the claims that decide it: the rows of the README's table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """A statement of the paper.

    Attributes:
        section: where the paper makes it, or a dash.
        words: the statement, and in brackets the number that decides it.
        decides: claims by the part of their names before the first dot, all with the same criterion.
        also: further claims that belong to the statement; they are counted by themselves, and have no number.
    """

    section: str
    words: str
    decides: tuple[str, ...]
    also: tuple[str, ...] = ()


STATEMENTS = (
    Statement(
        "abstract",
        "Sensitivity is tied to the spectrum (correlation of σ₁ with robustness)",
        ("sensitivity_tied_to_spectrum",),
    ),
    Statement(
        "4.3",
        "In a ReLU cell attack and power method coincide (share of iterates)",
        ("theorem_exact",),
        ("theorem_in_cell",),
    ),
    Statement(
        "4.3",
        "They approximately do in the whole training ball (cosine)",
        ("theorem_approximate",),
    ),
    Statement(
        "4.3",
        "They do so in a region much larger than the cell (ratio of radii)",
        ("theorem_beyond_cell",),
        ("theorem_beyond_cell_for_all_norms",),
    ),
    Statement(
        "4.3",
        "Input gradient and one power iteration miss the dominant vector (cosine)",
        (
            "input_gradient_misses_dominant_vector",
            "one_power_iteration_misses_dominant_vector",
            "logit_input_gradient_misses_dominant_vector",
            "logit_one_power_iteration_misses_dominant_vector",
        ),
    ),
    Statement(
        "4.3",
        "FGM, input gradient, Frobenius protect less than AT and d.d. SNR (difference)",
        (
            "explanations_less_robust",
            "explanations_less_robust_than_adversarial",
            "explanations_less_robust_at_epsilon",
            "explanations_less_robust_than_adversarial_at_epsilon",
            "longer_attack_explanations_less_robust",
            "longer_attack_explanations_less_robust_than_adversarial",
        ),
        ("explanations_same_clean_accuracy",),
    ),
    Statement(
        "5.1",
        "ε is the smallest radius at which almost all attacks on standard succeed (accuracy at ε)",
        ("training_epsilon_suffices", "linf_training_epsilon_suffices"),
        ("training_epsilon_is_smallest", "linf_training_epsilon_is_smallest"),
    ),
    Statement(
        "5.1",
        "Regularisers have the clean accuracy of AT (difference)",
        ("same_clean_accuracy", "linf_same_clean_accuracy"),
    ),
    Statement(
        "5.1",
        "d.d. SNR is as robust as AT under longer attacks, which change nothing else (difference)",
        ("longer_attack_equally_robust", "longer_attack_linf_equally_robust"),
        (
            "longer_attack_more_robust_than_standard",
            "longer_attack_linf_more_robust_than_standard",
            "longer_attack_global_snr_not_robust",
            "alignment_under_longer_attack",
            "longer_attack_singular_value_dampened",
            "longer_attack_singular_value_not_dampened",
            "longer_attack_more_linear",
            "longer_attack_cells_larger",
        ),
    ),
    Statement(
        "5.2",
        "AT and d.d. SNR dampen the singular values (ratio to standard)",
        ("spectrum_dampened", "spectrum_dampened_attacked"),
    ),
    Statement(
        "5.2",
        "Global SNR does not, whatever its iterations (ratio to standard)",
        ("spectrum_not_dampened", "spectrum_not_dampened_attacked"),
        ("spectrum_iterations_of_global_snr", "iterations_of_global_snr", "clean_iterations_of_global_snr"),
    ),
    Statement(
        "5.2",
        "Perturbations align with dominant singular vectors (first over last ranks)",
        ("alignment_strong",),
        ("alignment_beyond_random",),
    ),
    Statement(
        "5.2",
        "The alignment decreases with rank (slope)",
        ("alignment_decreasing",),
    ),
    Statement(
        "5.3",
        "d.d. SNR is as robust as AT (difference)",
        ("equally_robust", "equally_robust_at_radius", "equally_robust_at_epsilon"),
    ),
    Statement(
        "5.3",
        "d.d. ONR, the same with other norms, is as robust as AT in l-infinity balls (difference)",
        ("linf_equally_robust", "linf_equally_robust_at_radius", "linf_equally_robust_at_epsilon"),
    ),
    Statement(
        "5.3",
        "Both are more robust than standard, global SNR is not (difference)",
        ("more_robust_than_standard", "linf_more_robust_than_standard"),
        ("global_snr_not_robust", "linf_global_snr_not_robust"),
    ),
    Statement(
        "5.3",
        "Mixtures of the two are as robust (difference)",
        ("mixtures_equally_robust", "mixtures_equally_robust_at_epsilon", "longer_attack_mixtures_equally_robust"),
    ),
    Statement(
        "5.4",
        "AT and d.d. SNR are more linear around data (ratio to standard)",
        ("more_linear",),
        ("least_linear_adversarially",),
    ),
    Statement(
        "5.4",
        "The Jacobian of AT and d.d. SNR is a good approximation in the whole ball (deviation over change)",
        ("linear_in_ball",),
        ("flat_then_growing",),
    ),
    Statement(
        "5.4",
        "Standard develops a large σ₁ around data (ratio to that at the data)",
        ("singular_value_develops",),
    ),
    Statement(
        "5.4",
        "AT and d.d. SNR keep σ₁ low around data (ratio to standard)",
        ("singular_value_kept_low",),
        ("singular_value_stays",),
    ),
    Statement(
        "5.5",
        "AT and d.d. SNR enlarge ReLU cells, mainly around data (changes, ratio to standard)",
        ("cells_larger",),
        ("cells_mainly_on_data",),
    ),
    Statement(
        "5.5",
        "They leave ReLU cells away from the data as they are (the same around uniform noise)",
        ("cells_unchanged_away",),
    ),
    Statement(
        "–",
        "Not in the paper: d.d. SNR and ONR are as robust as AT under several starts and AutoAttack (difference)",
        ("attacked_equally_robust", "attacked_linf_equally_robust"),
        (
            "attacked_more_robust_than_standard",
            "attacked_linf_more_robust_than_standard",
            "attacked_global_snr_not_robust",
            "attacked_mixtures_equally_robust",
            "attacked_explanations_less_robust",
            "attacked_explanations_less_robust_than_adversarial",
        ),
    ),
)
