"""A Gaussian mixture on embeddings of digits, one iteration of its fit for each step."""

import warnings

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture

START = ("weights_init", "means_init", "precisions_init")


def train(trial):
    params = trial.params
    # The same space in each trial: a silhouette in another one could not be compared.
    embeddings = PCA(params["n_dimensions"], whiten=True, random_state=0).fit_transform(
        load_digits().data
    )
    state = trial.checkpoint.load() or {"epoch": 0, "mixture": dict.fromkeys(START)}
    for epoch in range(state["epoch"] + 1, params["epochs"] + 1):
        mixture = GaussianMixture(
            params["n_clusters"],
            covariance_type=params["covariance"],
            reg_covar=params["regularization"],
            random_state=trial.seed,
            max_iter=1,
            **state["mixture"],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # one iteration is meant
            found = mixture.fit_predict(embeddings)
        is_split = len(set(found)) > 1
        trial.report(
            step=epoch,
            silhouette=silhouette_score(embeddings, found) if is_split else -1.0,
            log_likelihood=mixture.lower_bound_,
        )
        parts = (mixture.weights_, mixture.means_, mixture.precisions_)
        state = {"epoch": epoch, "mixture": dict(zip(START, parts, strict=True))}
        trial.checkpoint.save(state)
