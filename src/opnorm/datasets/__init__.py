"""Where images come from, one file a dataset: a function (root, split) -> images uint8, labels int64."""

REGISTRY = {
    "digits": "opnorm.datasets.digits:digits",
    "cifar10": "opnorm.datasets.cifar10:cifar10",
    "cifar10_small": "opnorm.datasets.cifar10_small:cifar10_small",
    "cifar100": "opnorm.datasets.cifar100:cifar100",
    "svhn": "opnorm.datasets.svhn:svhn",
}

PACKAGES = {"digits": {"sklearn": "scikit-learn"}} | {
    name: {"torchvision": "torchvision"} for name in ("cifar10", "cifar10_small", "cifar100", "svhn")
}
"""What a dataset imports beyond what opnorm always does: by the name that is imported, the name that is installed."""
