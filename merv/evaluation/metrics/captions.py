"""How captions compare with their references, as VaseVQA-3D measures it: all of it between texts, none sees the video.

After github.com/AIGeeksGroup/VaseVQA-3D, eval/compare.py (no licence stated: the definitions, not the code).
Embeddings are rows of arrays, generated captions and references in the same order; what embeds texts is passed in.
"""

from collections.abc import Callable, Sequence

import numpy as np

from merv.errors import ConfigError

Embed = Callable[[Sequence[str]], np.ndarray]
"""Embeddings of texts, (N, D)."""

OVERALL = {
    "clip_score": 0.25,
    "semantic_similarity": 0.25,
    "r_at_10": 0.2,
    "lexical_similarity": 0.15,
    "r_at_5": 0.1,
    "r_at_1": 0.05,
}
"""Weights of `overall_score`."""


def vasevqa(
    generated: Sequence[str], references: Sequence[str], *, clip_embed: Embed, sentence_embed: Embed
) -> dict[str, float]:
    """Rows `clip_score`, `fid_score`, `semantic_similarity`, `r_at_1`, `r_at_5`, `r_at_10`, `lexical_similarity`.

    And `overall_score`, their weighted mean without the distance.  `clip_embed` is the text tower of CLIP ViT-B/32,
    `sentence_embed` all-mpnet-base-v2.  `semantic_similarity` is `clip_score` again under another name, so that it
    counts twice in the overall score.  All but `fid_score`, which is 0 or more and better when low, are at most 1; the
    paper prints R@k as percent.  A single caption has no covariance, so no `fid_score`.

    Raises:
        ConfigError: there are no captions, or not as many as references.
    """
    if len(generated) != len(references) or not generated:
        raise ConfigError(
            f"{len(generated)} captions and {len(references)} references; give one caption to each of at least one"
        )
    made, true = clip_embed(generated), clip_embed(references)
    rows = {"clip_score": clip_score(made, true)}
    if len(generated) > 1:
        rows["fid_score"] = frechet_distance(sentence_embed(generated), sentence_embed(references))
    rows["semantic_similarity"] = rows["clip_score"]
    rows |= {f"r_at_{k}": retrieval_recall(made, true, k) for k in (1, 5, 10)}
    rows["lexical_similarity"] = lexical_similarity(generated, references)
    return rows | {"overall_score": sum(weight * rows[name] for name, weight in OVERALL.items())}


def clip_score(generated: np.ndarray, references: np.ndarray) -> float:
    """Mean cosine of each caption's embedding with its reference's, -1..1.  (N, D), (N, D).

    Trap: between two texts; what the literature calls CLIP score is between a text and a picture.
    """
    return float((unit(generated) * unit(references)).sum(axis=1).mean())


def retrieval_recall(generated: np.ndarray, references: np.ndarray, k: int) -> float:
    """Share of captions whose own reference is among the k most similar of all by cosine, 0..1.  (N, D), (N, D).

    It falls with the number of references.  Of equally similar ones the later comes first, where the original leaves
    the order of references with the same text to the sort.
    """
    similar = unit(generated) @ unit(references).T
    order = np.argsort(similar, axis=1, kind="stable")[:, ::-1]
    own = np.arange(len(similar))[:, None]
    return float((order[:, :k] == own).any(axis=1).mean())


def frechet_distance(generated: np.ndarray, references: np.ndarray, *, eps: float = 1e-6) -> float:
    """Frechet distance of two sets of embeddings taken as normal distributions, 0 or more.  (N, D), (M, D), N, M > 1.

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) with `eps` added to the diagonals of the covariances.  The root's trace
    is taken from eigenvalues of S1^(1/2) S2 S1^(1/2), which are those of S1 S2 but real.  Trap: with fewer texts than
    dimensions the covariances are singular and the number depends on how many texts there are.
    """
    made, true = np.asarray(generated, dtype=float), np.asarray(references, dtype=float)
    difference = made.mean(axis=0) - true.mean(axis=0)
    ridge = eps * np.eye(made.shape[1])
    spread_made, spread_true = (np.atleast_2d(np.cov(rows, rowvar=False)) + ridge for rows in (made, true))
    values, vectors = np.linalg.eigh(spread_made)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ spread_true @ root).clip(0)).sum()
    return float(difference @ difference + np.trace(spread_made) + np.trace(spread_true) - 2 * cross)


def lexical_similarity(generated: Sequence[str], references: Sequence[str]) -> float:
    """Mean Jaccard index of the sets of lower-case words between blanks, 0..1; two texts without words give 0.

    Punctuation stays with its word: `vase.` is not `vase`.
    """
    values = []
    for made, true in zip(generated, references, strict=True):
        said, meant = set(made.lower().split()), set(true.lower().split())
        values.append(len(said & meant) / len(said | meant) if said | meant else 0.0)
    return float(np.mean(values))


def unit(rows: np.ndarray) -> np.ndarray:
    """The rows at length 1, (N, D); a row of zeros stays."""
    rows = np.asarray(rows, dtype=float)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)
